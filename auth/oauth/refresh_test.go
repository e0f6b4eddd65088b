package oauth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

var aliceAtIDP = Key{"alice", "idp"}

// signedIn returns a client at which alice is signed in, and her browser.
func signedIn(t testing.TB, s *standin, change func(*Options)) (*Client, *browser) {
	t.Helper()
	b := newBrowser(t, newClient(t, s, change))
	b.signIn(s)
	return b.client, b
}

func TestA11TokenInTheBackground(t *testing.T) {
	s := newStandin()
	c, _ := signedIn(t, s, nil)
	if token, err := c.Token(t.Context(), "alice", "idp"); token != "access-001" || err != nil {
		t.Error(token, err)
	}
	if _, err := c.Token(t.Context(), "bob", "idp"); !errors.Is(err, ErrNoToken) {
		t.Error(err)
	}
	if _, err := c.Token(t.Context(), "alice", "other"); !errors.Is(err, ErrUnknownProvider) {
		t.Error(err)
	}
	if n := len(s.tokenRequests()); n != 1 {
		t.Errorf("%d token requests", n)
	}
}

func TestA12RefreshStartsSixtySecondsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		c, _ := signedIn(t, s, nil)
		time.Sleep(time.Hour - time.Minute - time.Second)
		if token, _ := c.Token(t.Context(), "alice", "idp"); token != "access-001" {
			t.Error("at 61 s:", token)
		}
		time.Sleep(time.Second)
		if token, err := c.Token(t.Context(), "alice", "idp"); token != "access-002" || err != nil {
			t.Error("at 60 s:", token, err)
		}
		f := s.tokenRequests()[1].PostForm
		if f.Get("grant_type") != "refresh_token" || f.Get("refresh_token") != "refresh-001" {
			t.Error(f)
		}
		stored, err := c.o.Store.Load(t.Context(), aliceAtIDP)
		if err != nil || stored.Access != "access-002" || stored.Refresh != "refresh-002" || !stored.Expires.Equal(time.Now().Add(time.Hour)) || stored.Subject != "alice" || len(stored.Scopes) != 2 {
			t.Error("not rotated:", stored, err)
		}
	})
}

func TestA12OneRefreshForAHundredCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		c, _ := signedIn(t, s, nil)
		s.tokenReply = func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			writeJSON(w, http.StatusOK, s.grant())
		}
		time.Sleep(time.Hour)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 9 * time.Millisecond)
				if token, err := c.Token(t.Context(), "alice", "idp"); token != "access-002" || err != nil {
					t.Error(token, err)
				}
			})
		}
		wg.Wait()
		if n := len(s.tokenRequests()); n != 2 {
			t.Errorf("%d token requests, want the login's and one more", n)
		}
	})
}

// A caller that looked before a refresh had landed must not use the old refresh
// token a second time.
func TestA12RefreshTokenIsNeverUsedTwice(t *testing.T) {
	s := newStandin()
	used := make(map[string]int)
	s.tokenReply = func(w http.ResponseWriter, r *http.Request) {
		s.set(func(s *standin) { used[r.PostForm.Get("refresh_token")]++ })
		reply := s.grant()
		reply["expires_in"] = 30 // always stale
		writeJSON(w, http.StatusOK, reply)
	}
	c, _ := signedIn(t, s, nil)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				if _, err := c.Token(t.Context(), "alice", "idp"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	testkit.Wait(t, &wg)
	for token, n := range used {
		if n != 1 {
			t.Errorf("%s was used %d times", token, n)
		}
	}
}

func TestA12CallerWhoLeavesDoesNotEndTheRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		c, _ := signedIn(t, s, nil)
		s.tokenReply = func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(2 * time.Second)
			writeJSON(w, http.StatusOK, s.grant())
		}
		time.Sleep(2 * time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Token(ctx, "alice", "idp"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		c.Close()
		if stored, err := c.o.Store.Load(t.Context(), aliceAtIDP); err != nil || stored.Refresh != "refresh-002" {
			t.Error("the rotated token is lost:", stored, err)
		}
		if token, err := c.Token(t.Context(), "alice", "idp"); token != "access-002" || err != nil {
			t.Error("after Close:", token, err)
		}
		time.Sleep(2 * time.Hour)
		if _, err := c.Token(t.Context(), "alice", "idp"); !errors.Is(err, ErrClosed) {
			t.Error("after Close:", err)
		}
	})
}

func TestA12InvalidGrantMeansReconsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		var told []string
		c, b := signedIn(t, s, func(o *Options) {
			o.OnReconsent = func(user, provider string) { told = append(told, user+" "+provider) }
		})
		s.tokenReply = refuse("invalid_grant")
		time.Sleep(time.Hour)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if _, err := c.Token(t.Context(), "alice", "idp"); !errors.Is(err, ErrReconsent) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(told) != 1 || told[0] != "alice idp" || len(s.tokenRequests()) != 2 {
			t.Error(told, len(s.tokenRequests()))
		}
		stored, err := c.o.Store.Load(t.Context(), aliceAtIDP)
		if err != nil || !stored.Reconsent || stored.Access != "" || stored.Refresh != "" {
			t.Error(stored, err)
		}
		s.tokenReply = nil
		b.signIn(s)
		if token, err := c.Token(t.Context(), "alice", "idp"); token != "access-002" || err != nil {
			t.Error("after signing in again:", token, err)
		}
	})
}

func TestA12WithoutARefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		s.tokenReply = func(w http.ResponseWriter, _ *http.Request) {
			reply := s.grant()
			delete(reply, "refresh_token")
			writeJSON(w, http.StatusOK, reply)
		}
		var told int
		c, _ := signedIn(t, s, func(o *Options) { o.OnReconsent = func(string, string) { told++ } })
		time.Sleep(time.Hour - time.Second)
		if token, err := c.Token(t.Context(), "alice", "idp"); token != "access-001" || err != nil {
			t.Error("a second before its end:", token, err)
		}
		time.Sleep(time.Second)
		for range 2 {
			if _, err := c.Token(t.Context(), "alice", "idp"); !errors.Is(err, ErrReconsent) {
				t.Error("at its end:", err)
			}
		}
		if told != 1 || len(s.tokenRequests()) != 1 {
			t.Error(told, len(s.tokenRequests()))
		}
	})
}

func TestA12ProviderDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		c, _ := signedIn(t, s, nil)
		s.tokenReply = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
		time.Sleep(time.Hour - 30*time.Second)
		if token, err := c.Token(t.Context(), "alice", "idp"); token != "access-001" || err != nil {
			t.Error("while it is good still:", token, err)
		}
		time.Sleep(30 * time.Second)
		_, err := c.Token(t.Context(), "alice", "idp")
		if refusal, ok := errors.AsType[*ProviderError](err); !ok || refusal.Status != http.StatusServiceUnavailable || errors.Is(err, ErrReconsent) {
			t.Error("afterwards:", err)
		}
		s.tokenReply = nil
		if token, err := c.Token(t.Context(), "alice", "idp"); token != "access-002" || err != nil {
			t.Error("when it is back:", token, err)
		}
	})
}

func TestA12RefreshReplyMayKeepTheRefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		c, _ := signedIn(t, s, nil)
		s.tokenReply = func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, http.StatusOK, map[string]any{"access_token": "new", "expires_in": 10})
		}
		time.Sleep(time.Hour)
		if token, err := c.Token(t.Context(), "alice", "idp"); token != "new" || err != nil {
			t.Error(token, err)
		}
		if stored, err := c.o.Store.Load(t.Context(), aliceAtIDP); err != nil || stored.Refresh != "refresh-001" {
			t.Error(stored, err)
		}
	})
}

func TestA12LogoutDuringARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		c, b := signedIn(t, s, nil)
		s.tokenReply = func(w http.ResponseWriter, _ *http.Request) {
			b.post("/oauth/logout", nil)
			writeJSON(w, http.StatusOK, s.grant())
		}
		time.Sleep(time.Hour)
		if _, err := c.Token(t.Context(), "alice", "idp"); !errors.Is(err, ErrNoToken) {
			t.Error(err)
		}
		var revoked []string
		for _, f := range s.revocations() {
			revoked = append(revoked, f.Get("token"))
		}
		if got := strings.Join(revoked, " "); got != "refresh-001 access-001 refresh-002 access-002" {
			t.Error("revoked:", got)
		}
		if _, err := c.o.Store.Load(t.Context(), aliceAtIDP); !errors.Is(err, ErrNoToken) {
			t.Error("a token was stored after the logout:", err)
		}
	})
}

func TestA12LoginDuringARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, reply := range map[string]http.HandlerFunc{
			"that succeeds": func(w http.ResponseWriter, _ *http.Request) {
				writeJSON(w, http.StatusOK, map[string]any{"access_token": "late"})
			},
			"that fails": refuse("invalid_grant"),
		} {
			s := newStandin()
			c, b := signedIn(t, s, func(o *Options) { o.OnReconsent = func(string, string) { t.Error("told to sign in again") } })
			s.tokenReply = func(w http.ResponseWriter, r *http.Request) {
				s.set(func(s *standin) { s.tokenReply = nil })
				b.signIn(s)
				reply(w, r)
			}
			time.Sleep(time.Hour)
			if token, err := c.Token(t.Context(), "alice", "idp"); token != "access-002" || err != nil {
				t.Error(name, token, err)
			}
		}
	})
}

func TestStoreThatPanicsDoesNotEndTheProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		c, _ := signedIn(t, s, func(o *Options) { o.OnReconsent = func(string, string) { panic("refresh-001") } })
		s.tokenReply = refuse("invalid_grant")
		time.Sleep(time.Hour)
		if _, err := c.Token(t.Context(), "alice", "idp"); err == nil || strings.Contains(err.Error(), "refresh-001") {
			t.Error(err)
		}
		if _, err := c.Token(t.Context(), "alice", "idp"); !errors.Is(err, ErrReconsent) {
			t.Error(err)
		}
	})
}

func TestLoginWithoutARefreshTokenKeepsTheOldOne(t *testing.T) {
	s := newStandin()
	c, b := signedIn(t, s, nil)
	s.tokenReply = func(w http.ResponseWriter, _ *http.Request) {
		reply := s.grant()
		delete(reply, "refresh_token")
		writeJSON(w, http.StatusOK, reply)
	}
	b.signIn(s)
	if stored, err := c.o.Store.Load(t.Context(), aliceAtIDP); err != nil || stored.Access != "access-002" || stored.Refresh != "refresh-001" {
		t.Error(stored, err)
	}
}

// Whoever starts a refresh may have looked at the token before the previous
// refresh had landed.
func TestA12LateStarterTakesWhatIsThere(t *testing.T) {
	s := newStandin()
	c, _ := signedIn(t, s, nil)
	got, err := c.renew(t.Context(), c.providers["idp"], aliceAtIDP, "an older token")
	if err != nil || got.Access != "access-001" || len(s.tokenRequests()) != 1 {
		t.Error(got, err, len(s.tokenRequests()))
	}
}

func TestRefreshWithABrokenStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, reply := range map[string]http.HandlerFunc{"rotation": nil, "invalid_grant": refuse("invalid_grant")} {
			s := newStandin()
			memory := NewMemoryStore()
			c, _ := signedIn(t, s, func(o *Options) { o.Store = memory })
			c.o.Store = brokenStore{memory}
			s.tokenReply = reply
			time.Sleep(time.Hour)
			if _, err := c.Token(t.Context(), "alice", "idp"); !errors.Is(err, errDisk) {
				t.Error(name, err)
			}
		}
	})
}
