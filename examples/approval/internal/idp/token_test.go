package idp

import (
	"net/http"
	"net/url"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// what a code is exchanged for, and the ID token is signed with a key of
// the set.
func TestA8Tokens(t *testing.T) {
	s := newServer(t, new(broker))
	status, reply := app(t, s, "/token", codeForm(newBrowser(t, s).code(authorizationRequest(nil))))
	if status != http.StatusOK || reply["token_type"] != "bearer" || reply["expires_in"] != 120.0 || reply["scope"] != "openid readings offline_access" {
		t.Fatalf("%d %v", status, reply)
	}
	if !isActive(t, s, reply["access_token"]) || isActive(t, s, reply["refresh_token"]) {
		t.Error("the access token is what opens doors, and the refresh token is not")
	}
	parsed, err := jwt.ParseSigned(reply["id_token"].(string), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := parsed.Claims(s.keys.public.Key(parsed.Headers[0].KeyID)[0].Key, &claims); err != nil {
		t.Fatal(err)
	}
	if claims["iss"] != issuer || claims["sub"] != "alice" || claims["aud"] != "app" || claims["nonce"] != "no" ||
		!reflect.DeepEqual(claims["amr"], []any{"pwd", "mca"}) {
		t.Errorf("%v", claims)
	}
}

// a code used twice is refused, and what was issued from it is revoked.
func TestA9CodeReuse(t *testing.T) {
	s := newServer(t, new(broker))
	code := newBrowser(t, s).code(authorizationRequest(nil))
	_, first := app(t, s, "/token", codeForm(code))
	_, second := app(t, s, "/token", refreshForm(first["refresh_token"]))
	status, reply := app(t, s, "/token", codeForm(code))
	if status != http.StatusBadRequest || reply["error"] != "invalid_grant" {
		t.Errorf("%d %v", status, reply)
	}
	if isActive(t, s, first["access_token"]) || isActive(t, s, second["access_token"]) {
		t.Error("a token of the code is still good")
	}
	if _, reply := app(t, s, "/token", refreshForm(second["refresh_token"])); reply["error"] != "invalid_grant" {
		t.Errorf("%v", reply)
	}
}

// A code is good for its client, its redirect address and its verifier, and for
// a minute; a try with the wrong ones uses it up.
func TestA9CodeBinding(t *testing.T) {
	for name, change := range map[string]func(url.Values){
		"verifier":  func(f url.Values) { f.Set("code_verifier", verifier+"x") },
		"none":      func(f url.Values) { f.Del("code_verifier") },
		"challenge": func(f url.Values) { f.Set("code_verifier", challenge(verifier)) },
		"redirect":  func(f url.Values) { f.Set("redirect_uri", callback+"/") },
		"code":      func(f url.Values) { f.Set("code", f.Get("code")+"x") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, new(broker))
			form := codeForm(newBrowser(t, s).code(authorizationRequest(nil)))
			change(form)
			if status, reply := app(t, s, "/token", form); status != http.StatusBadRequest || reply["error"] != "invalid_grant" {
				t.Errorf("%d %v", status, reply)
			}
		})
	}
	t.Run("client", func(t *testing.T) {
		s := newServer(t, new(broker))
		form := codeForm(newBrowser(t, s).code(authorizationRequest(nil)))
		if _, reply := call(t, s, "other", "other", "/token", form); reply["error"] != "invalid_grant" {
			t.Errorf("%v", reply)
		}
	})
	t.Run("time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, new(broker))
			form := codeForm(newBrowser(t, s).code(authorizationRequest(nil)))
			time.Sleep(codeTTL)
			if _, reply := app(t, s, "/token", form); reply["error"] != "invalid_grant" {
				t.Errorf("%v", reply)
			}
		})
	})
}

// Whoever finds a code, without the secret of its client, can neither use it up
// nor revoke what was issued from it.
func TestCodeOfAnotherClient(t *testing.T) {
	s := newServer(t, new(broker))
	form := codeForm(newBrowser(t, s).code(authorizationRequest(nil)))
	strangers := func() {
		t.Helper()
		for _, c := range []struct{ id, secret, code string }{
			{"other", "other", "invalid_grant"}, {"app", "wrong", "invalid_client"}, {"", "", "invalid_client"},
		} {
			if _, reply := call(t, s, c.id, c.secret, "/token", form); reply["error"] != c.code {
				t.Errorf("%q: %v", c.id, reply)
			}
		}
	}
	strangers()
	status, reply := app(t, s, "/token", form)
	if status != http.StatusOK {
		t.Fatalf("the code was used up: %v", reply)
	}
	strangers()
	if !isActive(t, s, reply["access_token"]) {
		t.Error("the token has been revoked")
	}
}

// Of many exchanges at once one succeeds, and what it got dies by the others.
func TestA9Parallel(t *testing.T) {
	s := newServer(t, new(broker))
	form := codeForm(newBrowser(t, s).code(authorizationRequest(nil)))
	var mu sync.Mutex
	var got []any
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if status, reply := app(t, s, "/token", form); status == http.StatusOK {
				mu.Lock()
				got = append(got, reply["access_token"])
				mu.Unlock()
			}
		})
	}
	testkit.Wait(t, &wg)
	if len(got) > 1 {
		t.Fatalf("%d exchanges succeeded", len(got))
	}
	for _, token := range got {
		if isActive(t, s, token) {
			t.Error("the token is still good")
		}
	}
}

// A refresh token is good once; its reuse revokes all that came of its grant.
func TestRefreshRotation(t *testing.T) {
	s := newServer(t, new(broker))
	_, first := app(t, s, "/token", codeForm(newBrowser(t, s).code(authorizationRequest(nil))))
	status, second := app(t, s, "/token", refreshForm(first["refresh_token"]))
	if status != http.StatusOK || second["refresh_token"] == first["refresh_token"] || second["id_token"] != nil {
		t.Fatalf("%d %v", status, second)
	}
	if !isActive(t, s, second["access_token"]) {
		t.Error("the new token is no good")
	}
	if _, reply := call(t, s, "other", "other", "/token", refreshForm(second["refresh_token"])); reply["error"] != "invalid_grant" {
		t.Errorf("another client: %v", reply)
	}
	if _, reply := app(t, s, "/token", refreshForm(first["refresh_token"])); reply["error"] != "invalid_grant" {
		t.Errorf("reuse: %v", reply)
	}
	if _, reply := app(t, s, "/token", refreshForm(second["refresh_token"])); reply["error"] != "invalid_grant" {
		t.Errorf("after the reuse: %v", reply)
	}
	if isActive(t, s, second["access_token"]) {
		t.Error("after the reuse the access token is still good")
	}
}

// An ID token comes with openid, with or without a nonce, and with nothing else.
func TestIDToken(t *testing.T) {
	s := newServer(t, new(broker))
	_, reply := app(t, s, "/token", codeForm(newBrowser(t, s).code(authorizationRequest(map[string]string{"nonce": ""}))))
	if reply["id_token"] == nil {
		t.Error("without a nonce there is none")
	}
	_, reply = app(t, s, "/token", codeForm(newBrowser(t, s).code(authorizationRequest(map[string]string{"scope": "readings"}))))
	if reply["access_token"] == nil || reply["id_token"] != nil {
		t.Errorf("without openid: %v", reply)
	}
}

// Only who allows access while away gives a refresh token.
func TestNoOfflineAccess(t *testing.T) {
	s := newServer(t, new(broker))
	_, reply := app(t, s, "/token", codeForm(newBrowser(t, s).code(authorizationRequest(map[string]string{"scope": "readings"}))))
	if _, given := reply["refresh_token"]; given || !isActive(t, s, reply["access_token"]) {
		t.Errorf("%v", reply)
	}
}

// A client may ask for an access token with fewer scopes than granted. More is
// refused, and does not use up the refresh token.
func TestRefreshScope(t *testing.T) {
	s := newServer(t, new(broker))
	_, first := app(t, s, "/token", codeForm(newBrowser(t, s).code(authorizationRequest(map[string]string{"scope": "readings offline_access"}))))
	with := func(token any, scope string) (int, map[string]any) {
		form := refreshForm(token)
		form.Set("scope", scope)
		return app(t, s, "/token", form)
	}
	for _, scope := range []string{"openid", "readings everything"} {
		if status, reply := with(first["refresh_token"], scope); status != http.StatusBadRequest || reply["error"] != "invalid_scope" {
			t.Errorf("%s: %d %v", scope, status, reply)
		}
	}
	_, second := with(first["refresh_token"], "readings")
	if got := introspected(t, s, second["access_token"])["scope"]; second["scope"] != "readings" || got != "readings" {
		t.Errorf("%v, and the token has %v", second, got)
	}
	if _, third := with(second["refresh_token"], ""); third["scope"] != "readings offline_access" {
		t.Errorf("the grant became smaller: %v", third)
	}
}

// A repeated parameter is refused at every endpoint, because another component
// could read the other one.
func TestRepeatedParameters(t *testing.T) {
	s := newServer(t, new(broker))
	_, reply := app(t, s, "/token", codeForm(newBrowser(t, s).code(authorizationRequest(nil))))
	twice := url.Values{"token": {reply["access_token"].(string), "x"}, "grant_type": {"refresh_token", "refresh_token"}}
	for _, c := range []struct{ client, secret, path string }{
		{"app", "s3cr et%", "/token"}, {"app", "s3cr et%", "/revoke"}, {"api", "api", "/introspect"},
	} {
		if status, reply := call(t, s, c.client, c.secret, c.path, twice); status != http.StatusBadRequest || reply["error"] != "invalid_request" {
			t.Errorf("%s: %d %v", c.path, status, reply)
		}
	}
	if !isActive(t, s, reply["access_token"]) {
		t.Error("the token has been revoked")
	}
}

// revocation (RFC 7009) by refresh token ends the grant, by access token
// that token; another client's and unknown tokens are answered alike and stay
// as they are.
func TestA14Revoke(t *testing.T) {
	s := newServer(t, new(broker))
	_, first := app(t, s, "/token", codeForm(newBrowser(t, s).code(authorizationRequest(nil))))
	_, second := app(t, s, "/token", refreshForm(first["refresh_token"]))
	revoke := func(id, secret string, token any) {
		t.Helper()
		if status, _ := call(t, s, id, secret, "/revoke", url.Values{"token": {token.(string)}}); status != http.StatusOK {
			t.Errorf("%d", status)
		}
	}
	revoke("other", "other", second["refresh_token"])
	revoke("app", "s3cr et%", "unknown")
	revoke("app", "s3cr et%", first["access_token"])
	if isActive(t, s, first["access_token"]) || !isActive(t, s, second["access_token"]) {
		t.Error("not the one that was revoked")
	}
	revoke("app", "s3cr et%", second["refresh_token"])
	if isActive(t, s, second["access_token"]) {
		t.Error("the grant goes on")
	}
	if status, reply := app(t, s, "/revoke", nil); status != http.StatusBadRequest || reply["error"] != "invalid_request" {
		t.Errorf("%d %v", status, reply)
	}
}

// An access token ends by itself.
func TestTokenExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, new(broker))
		_, reply := app(t, s, "/token", codeForm(newBrowser(t, s).code(authorizationRequest(nil))))
		time.Sleep(s.o.AccessTTL)
		if isActive(t, s, reply["access_token"]) {
			t.Error("it is still good")
		}
		time.Sleep(refreshTTL)
		if _, reply := app(t, s, "/token", refreshForm(reply["refresh_token"])); reply["error"] != "invalid_grant" {
			t.Errorf("%v", reply)
		}
		s.mu.Lock()
		s.prune()
		s.mu.Unlock()
		if len(s.tokens)+len(s.logins)+len(s.operations) > 0 {
			t.Error("what has expired is kept")
		}
	})
}

// Who does not prove to be a client hears nothing; who is none of the resource
// servers may not ask about tokens.
func TestClientAuthentication(t *testing.T) {
	s := newServer(t, new(broker))
	for _, c := range []struct{ id, secret, path string }{
		{"app", "wrong", "/token"}, {"nobody", "", "/token"}, {"", "", "/revoke"}, {"app", "s3cr et%", "/introspect"}, {"api", "", "/introspect"},
	} {
		if status, reply := call(t, s, c.id, c.secret, c.path, url.Values{"token": {"x"}}); status != http.StatusUnauthorized || reply["error"] != "invalid_client" {
			t.Errorf("%v: %d %v", c, status, reply)
		}
	}
	both := url.Values{"client_id": {"other"}}
	if status, _ := app(t, s, "/token", both); status != http.StatusUnauthorized {
		t.Errorf("two clients at once: %d", status)
	}
	for code, form := range map[string]url.Values{
		"invalid_request":        {},
		"unsupported_grant_type": {"grant_type": {"password"}},
		"invalid_grant":          {"grant_type": {"authorization_code"}},
	} {
		if status, reply := app(t, s, "/token", form); status != http.StatusBadRequest || reply["error"] != code {
			t.Errorf("%v: %d %v", form, status, reply)
		}
	}
}
