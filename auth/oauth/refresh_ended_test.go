package oauth

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// A grant that has ended gives no token any more, not even the old one, which
// would be good for half a minute still: the user was logged out, or has to sign
// in again.
func TestOldTokenIsNotUsedAfterTheEndOfItsGrant(t *testing.T) {
	for name, tc := range map[string]struct {
		reply func(s *standin, b *browser) http.HandlerFunc
		want  error
	}{
		"invalid_grant": {func(*standin, *browser) http.HandlerFunc { return refuse("invalid_grant") }, ErrReconsent},
		"logout meanwhile": {func(s *standin, b *browser) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				b.post("/oauth/logout", nil)
				writeJSON(w, http.StatusOK, s.grant())
			}
		}, ErrNoToken},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStandin()
				c, b := signedIn(t, s, nil)
				s.tokenReply = tc.reply(s, b)
				time.Sleep(time.Hour - 30*time.Second)
				if token, err := c.Token(t.Context(), "alice", "idp"); token != "" || !errors.Is(err, tc.want) {
					t.Errorf("got %q and %v, want %v", token, err, tc.want)
				}
			})
		})
	}
}

// An entry whose grant has ended is not the one that was refreshed.
func TestSameToken(t *testing.T) {
	old := &Token{Access: "a", Refresh: "r"}
	for name, tc := range map[string]struct {
		t    *Token
		want bool
	}{
		"none":                 {nil, false},
		"the same":             {&Token{Access: "a", Refresh: "r"}, true},
		"another access token": {&Token{Access: "b", Refresh: "r"}, false},
		"another refresh":      {&Token{Access: "a", Refresh: "s"}, false},
		"ended":                {&Token{Access: "a", Refresh: "r", Reconsent: true}, false},
	} {
		if got := tc.t.same(old); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
