package oauth

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
)

func TestUsers(t *testing.T) {
	for name, store := range map[string]TokenStore{
		"memory": NewMemoryStore(),
		"file":   newFileStore(t, filepath.Join(t.TempDir(), "tokens"), make([]byte, 32)),
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, newStandin(), func(o *Options) { o.Store = store })
			for _, k := range []Key{aliceAtIDP, {"bob", "idp"}, {"carl", "idp"}, {"dora", "other"}} {
				if err := store.Update(t.Context(), k, func(*Token) *Token { return &Token{Access: "a", Refresh: "r", Reconsent: k.User == "bob"} }); err != nil {
					t.Fatal(err)
				}
			}
			if err := store.Update(t.Context(), Key{"carl", "idp"}, func(*Token) *Token { return nil }); err != nil {
				t.Fatal(err)
			}
			users, err := c.Users(t.Context(), "idp")
			if slices.Sort(users); err != nil || !slices.Equal(users, []string{"alice", "bob"}) {
				t.Errorf("%q, %v", users, err)
			}
			if _, err := c.Users(t.Context(), "nowhere"); !errors.Is(err, ErrUnknownProvider) {
				t.Error(err)
			}
			token, err := c.AccessToken(t.Context(), "alice", "idp")
			if err != nil || token.Access != "a" || token.Refresh != "" {
				t.Errorf("%#v, %v: want the access token alone", token, err)
			}
			if _, err := c.AccessToken(t.Context(), "bob", "idp"); !errors.Is(err, ErrReconsent) {
				t.Error(err)
			}
		})
	}
	var silent struct{ TokenStore }
	silent.TokenStore = NewMemoryStore()
	c := newClient(t, newStandin(), func(o *Options) { o.Store = silent })
	if _, err := c.Users(t.Context(), "idp"); !errors.Is(err, ErrNoList) {
		t.Error(err)
	}
}
