package oauth

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// unreadableStore cannot be read.
type unreadableStore struct{ *MemoryStore }

func (unreadableStore) Load(context.Context, Key) (*Token, error) { return nil, errDisk }

func TestTokenFromAStoreThatCannotBeRead(t *testing.T) {
	s := newStandin()
	memory := NewMemoryStore()
	c, _ := signedIn(t, s, func(o *Options) { o.Store = memory })
	c.o.Store = unreadableStore{memory}
	if token, err := c.Token(t.Context(), "alice", "idp"); token != "" || !errors.Is(err, errDisk) || errors.Is(err, ErrNoToken) {
		t.Errorf("%q, %v: a store that fails is no user who never signed in", token, err)
	}
	if n := len(s.tokenRequests()); n != 1 {
		t.Errorf("%d token requests, want the login's", n)
	}
}

// If the provider's metadata cannot be read for a refresh, no user has to
// consent again.
func TestA12RefreshWithoutMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		memory := NewMemoryStore()
		first, _ := signedIn(t, s, func(o *Options) { o.Store = memory })
		first.Close()
		c := newClient(t, s, func(o *Options) {
			o.Store = memory
			o.Transport = direct{http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })}
			o.OnReconsent = func(string, string) { t.Error("told to sign in again") }
		})
		time.Sleep(time.Hour)
		if token, err := c.Token(t.Context(), "alice", "idp"); token != "" || err == nil || errors.Is(err, ErrReconsent) || errors.Is(err, ErrNoToken) {
			t.Errorf("%q, %v", token, err)
		}
		if stored, err := memory.Load(t.Context(), aliceAtIDP); err != nil || stored.Refresh != "refresh-001" {
			t.Error(stored, err)
		}
	})
}

// meanwhile changes the stored token just before a client does, as another node
// may.
type meanwhile struct {
	*MemoryStore
	becomes func(present *Token) *Token // once
}

func (m *meanwhile) Update(ctx context.Context, k Key, f func(*Token) *Token) error {
	if change := m.becomes; change != nil {
		m.becomes = nil
		if err := m.MemoryStore.Update(ctx, k, change); err != nil {
			return err
		}
	}
	return m.MemoryStore.Update(ctx, k, f)
}

// If another node changes the entry during a refresh, that entry counts, and
// OnReconsent is called only for what this node has found out.
func TestA12AnotherNodeDuringARefresh(t *testing.T) {
	lapsed := func(present *Token) *Token { return &Token{Reconsent: true, Subject: present.Subject} }
	gone := func(*Token) *Token { return nil }
	for name, c := range map[string]struct {
		reply   http.HandlerFunc
		becomes func(*Token) *Token
		want    error
	}{
		"refreshed, but lapsed elsewhere": {nil, lapsed, ErrReconsent},
		"lapsed, here and elsewhere":      {refuse("invalid_grant"), lapsed, ErrReconsent},
		"lapsed, but logged out":          {refuse("invalid_grant"), gone, ErrNoToken},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStandin()
				store := &meanwhile{MemoryStore: NewMemoryStore()}
				told := 0
				client, _ := signedIn(t, s, func(o *Options) {
					o.Store = store
					o.OnReconsent = func(string, string) { told++ }
				})
				s.tokenReply = c.reply
				store.becomes = c.becomes
				time.Sleep(time.Hour)
				if token, err := client.Token(t.Context(), "alice", "idp"); token != "" || !errors.Is(err, c.want) {
					t.Errorf("%q, %v, want %v", token, err, c.want)
				}
				if told != 0 {
					t.Error("the program was told of what another node has found out")
				}
				stored, err := store.Load(t.Context(), aliceAtIDP)
				if c.want == ErrNoToken {
					if !errors.Is(err, ErrNoToken) {
						t.Errorf("it is back: %v, %v", stored, err)
					}
				} else if err != nil || !stored.Reconsent || stored.Access != "" {
					t.Errorf("%v, %v", stored, err)
				}
			})
		})
	}
}
