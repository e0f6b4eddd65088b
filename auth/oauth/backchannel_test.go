package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// tell posts a logout token as a provider does: without cookies and from no
// origin.
func tell(b *browser, token string) *http.Response {
	r := newBrowser(b.t, b.client).request(http.MethodPost, "/oauth/backchannel-logout", url.Values{"logout_token": {token}})
	r.Header.Del("Origin")
	return b.do(r)
}

func TestBackchannelLogout(t *testing.T) {
	for name, change := range map[string]map[string]any{
		"sid and sub": nil,
		"sid":         {"sub": nil},
		"sub":         {"sid": nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStandin()
			var ended logouts
			c, b := signedIn(t, s, func(o *Options) { o.OnLogout = ended.record; o.Providers[0].Scopes = []string{"openid"} })
			credential := b.principal().CredentialID
			resp := tell(b, s.logoutToken(change))
			if resp.StatusCode != http.StatusOK || resp.Header.Get("Cache-Control") != "no-store" || len(resp.Cookies()) != 0 {
				t.Error(resp.StatusCode, resp.Header)
			}
			if list := ended.take(); len(list) != 1 || list[0] != "alice "+credential || b.signedIn() != "" {
				t.Error(list, b.signedIn())
			}
			if _, err := c.Token(t.Context(), "alice", "idp"); !errors.Is(err, ErrNoToken) {
				t.Error(err)
			}
		})
	}
}

func TestBackchannelLogoutLeavesOthersAlone(t *testing.T) {
	s := newStandin()
	c, b := signedIn(t, s, nil)
	s.claims = map[string]any{"sub": "bob", "sid": "bobs"}
	bob := newBrowser(t, c)
	bob.signIn(s)
	s.claims = map[string]any{"sid": "second"}
	second := newBrowser(t, c)
	second.signIn(s)
	if resp := tell(b, s.logoutToken(map[string]any{"sid": "unknown"})); resp.StatusCode != http.StatusOK {
		t.Error(resp.StatusCode)
	}
	if b.signedIn() == "" || second.signedIn() == "" || bob.signedIn() == "" {
		t.Error("a session of another sid has ended")
	}
	tell(b, s.logoutToken(nil))
	if b.signedIn() != "" || second.signedIn() == "" || bob.signedIn() == "" {
		t.Error(b.signedIn(), second.signedIn(), bob.signedIn())
	}
	if _, err := c.Token(t.Context(), "alice", "idp"); err != nil {
		t.Error(err)
	}
}

func TestBackchannelLogoutKeepsOfflineTokens(t *testing.T) {
	s := newStandin()
	c, b := signedIn(t, s, nil)
	tell(b, s.logoutToken(nil))
	if _, err := c.Token(t.Context(), "alice", "idp"); err != nil || b.signedIn() != "" {
		t.Error(err)
	}
}

func TestBackchannelLogoutOfASessionWhoseIDTokenHadNoSID(t *testing.T) {
	s := newStandin()
	s.claims = map[string]any{"sid": nil}
	_, b := signedIn(t, s, nil)
	if tell(b, s.logoutToken(nil)); b.signedIn() != "" {
		t.Error("still signed in")
	}
}

func TestBackchannelLogoutRefusals(t *testing.T) {
	now := time.Now()
	event := "http://schemas.openid.net/event/backchannel-logout"
	s := newStandin()
	c, b := signedIn(t, s, nil)
	idToken := s.grant()["id_token"].(string)
	for name, token := range map[string]string{
		"nothing":             "",
		"garbage":             "a.b.c",
		"an ID token":         idToken,
		"another key":         sign(newKey(), s.kid, jose.ES256, map[string]any{"iss": issuer}),
		"HS256":               sign([]byte(strings.Repeat(secret, 8)), s.kid, jose.HS256, map[string]any{"iss": issuer}),
		"another issuer":      s.logoutToken(map[string]any{"iss": "https://evil.example"}),
		"no issuer":           s.logoutToken(map[string]any{"iss": nil}),
		"another audience":    s.logoutToken(map[string]any{"aud": "other"}),
		"no event":            s.logoutToken(map[string]any{"events": map[string]any{}}),
		"another event":       s.logoutToken(map[string]any{"events": map[string]any{"x": map[string]any{}}}),
		"event is null":       s.logoutToken(map[string]any{"events": map[string]any{event: nil}}),
		"event is text":       s.logoutToken(map[string]any{"events": map[string]any{event: "{}"}}),
		"events is text":      s.logoutToken(map[string]any{"events": event}),
		"a nonce":             s.logoutToken(map[string]any{"nonce": "x"}),
		"an empty nonce":      s.logoutToken(map[string]any{"nonce": ""}),
		"neither sub nor sid": s.logoutToken(map[string]any{"sub": nil, "sid": nil}),
		"no jti":              s.logoutToken(map[string]any{"jti": nil}),
		"no exp":              s.logoutToken(map[string]any{"exp": nil}),
		"expired":             s.logoutToken(map[string]any{"exp": now.Add(-time.Second).Unix()}),
		"no iat":              s.logoutToken(map[string]any{"iat": nil}),
		"old":                 s.logoutToken(map[string]any{"iat": now.Add(-6 * time.Minute).Unix()}),
		"from the future":     s.logoutToken(map[string]any{"iat": now.Add(2 * time.Minute).Unix()}),
		"long jti":            s.logoutToken(map[string]any{"jti": strings.Repeat("x", 1025)}),
		"over 64 KiB":         s.logoutToken(map[string]any{"x": strings.Repeat("x", 64<<10)}),
	} {
		if resp := tell(b, token); resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	good := s.logoutToken(nil)
	for name, r := range map[string]*http.Request{
		"in the query": b.request(http.MethodPost, "/oauth/backchannel-logout?logout_token="+good, nil),
		"twice":        b.request(http.MethodPost, "/oauth/backchannel-logout", url.Values{"logout_token": {good, good}}),
	} {
		if resp := b.do(r); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	if b.signedIn() != "alice" {
		t.Fatal("a bad logout token ended the session")
	}
	if resp := tell(b, good); resp.StatusCode != http.StatusOK || b.signedIn() != "" {
		t.Error("the good one:", resp.StatusCode)
	}
	_ = c
}

func TestBackchannelLogoutTokenIsGoodOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		_, b := signedIn(t, s, nil)
		token := s.logoutToken(map[string]any{"sid": nil, "exp": time.Now().Add(time.Hour).Unix()})
		tell(b, token)
		time.Sleep(2 * time.Second)
		b.signIn(s)
		for range 12 { // past the time for which it is remembered
			if resp := tell(b, token); resp.StatusCode != http.StatusBadRequest || b.signedIn() == "" {
				t.Fatal(resp.StatusCode)
			}
			time.Sleep(time.Minute)
		}
	})
}

// A provider may end its session after it has issued the code and before we
// have made a session of it.
func TestBackchannelLogoutDuringALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, change := range map[string]map[string]any{"sid": {"sub": nil}, "sub": {"sid": nil}} {
			s := newStandin()
			b := newBrowser(t, newClient(t, s, nil))
			s.tokenReply = func(w http.ResponseWriter, _ *http.Request) {
				reply := s.grant()
				if resp := tell(b, s.logoutToken(change)); resp.StatusCode != http.StatusOK {
					t.Error(name, resp.StatusCode)
				}
				writeJSON(w, http.StatusOK, reply)
			}
			if resp := b.callback(s, b.login("")); resp.StatusCode != http.StatusBadRequest || b.signedIn() != "" {
				t.Error(name, resp.StatusCode)
			}
			s.tokenReply, s.claims = nil, map[string]any{"sid": "new"}
			time.Sleep(2 * time.Second)
			if b.signIn(s); b.signedIn() == "" {
				t.Error(name, "the next login is refused too")
			}
		}
	})
}
