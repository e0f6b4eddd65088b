//go:build unix

package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// Two issuers may know two people called ann. Neither reads the other's messages,
// nor logs the other out, and no jti is the name of what Hoofbeat has issued.
func TestIssuersShareNoNames(t *testing.T) {
	one, two := newProvider(t), newProvider(t)
	jwt := func(p *provider, more string) string {
		return fmt.Sprintf("    - {issuer: %q, audience: hoofbeat%s}\n", p.URL, more)
	}
	ambiguous := write(t, "ambiguous.yaml", "auth:\n  jwt:\n"+jwt(one, "")+jwt(two, ""))
	if check := run(t, 2, nil, "config", "check", "-c", ambiguous); !strings.Contains(check.Stderr(), "auth.jwt[1]: its users and those of auth.jwt[0] could have the same names") {
		t.Errorf("config check of two issuers: %s", check.Stderr())
	}
	secret := strings.Repeat("k", 32)
	s := serve(t, []string{"HOOFBEAT_AUTH_TICKETS_SIGNED=true", "HOOFBEAT_AUTH_TICKETS_SECRET=" + secret}, "-c", write(t, "hoofbeat.yaml",
		"auth:\n  jwt:\n"+jwt(one, ", user_prefix: 'one:'")+jwt(two, ", user_prefix: 'two:'")))

	token := func(p *provider, jti string) http.Header {
		return bearerHeader(p.sign(map[string]any{"aud": "hoofbeat", "sub": "ann", "jti": jti}))
	}
	first := connectAs(t, "one:ann", s.url, client.Options{Header: token(one, "backend:main")})
	second := connectAs(t, "two:ann", s.url, client.Options{Header: token(two, "backend:main")})
	if status := s.call(t, "POST", "/api/v1/revocations", `{"credential":"jwt:`+one.URL+`#backend:main"}`, nil); status != http.StatusOK {
		t.Fatalf("revocation: HTTP %d", status)
	}
	closed(t, first, 1008)
	refused(t, http.StatusUnauthorized, s.url, client.Options{Header: token(one, "backend:main")})
	connectAs(t, "two:ann", s.url, client.Options{Header: token(two, "backend:main")})
	var sessions struct{ Items []any }
	if status := s.call(t, "GET", "/api/v1/users/two:ann/sessions", "", &sessions); status != http.StatusOK || len(sessions.Items) != 2 {
		t.Errorf("the namesake's sessions: HTTP %d, %v", status, sessions.Items)
	}
	if err := second.Disconnect(); err != nil {
		t.Errorf("the namesake's session: %v", err)
	}
}

// A token that its issuer revokes takes the open sockets with it, those of tickets
// that it obtained included, although the issuer never said how long it lives.
func TestRevokedOpaqueTokenLosesItsSocket(t *testing.T) {
	p := newProvider(t)
	s := serve(t, nil, "-c", write(t, "hoofbeat.yaml", fmt.Sprintf(`
auth:
  introspection: [{url: "%s/introspect", client_id: broker, client_secret: introspection-secret, recheck: 1s}]
`, p.URL)))
	bob := connectAs(t, "bob", s.url, client.Options{Header: bearerHeader(p.opaque)})
	byTicket := connectAs(t, "bob", s.url+"?ticket="+mint(t, s, http.DefaultClient, bearerHeader(p.opaque)), client.Options{})
	select {
	case <-bob.Done():
		t.Fatalf("a good token's session ended: %v", bob.Err())
	case <-time.After(1500 * time.Millisecond): // it has been asked about by then
	}
	p.mu.Lock()
	p.revoked = true
	p.mu.Unlock()
	closed(t, bob, 1008)
	closed(t, byTicket, 1008)
	refused(t, http.StatusUnauthorized, s.url, client.Options{Header: bearerHeader(p.opaque)})
}

// A backend gets the access token of a user who has signed in, and nobody else's.
func TestTokenOfAUser(t *testing.T) {
	p := newProvider(t)
	d := newDoor(t)
	s := d.leadTo(serve(t, []string{"HOOFBEAT_AUTH_OAUTH_0_CLIENT_SECRET=oauth-secret"}, "-c", oauthConfig(t, p, d.address)))
	var got struct {
		Token   string `json:"access_token"`
		Expires int64  `json:"expires"`
	}
	if status := s.call(t, "GET", "/api/v1/users/ann/tokens/test", "", nil); status != http.StatusNotFound {
		t.Errorf("before the login: HTTP %d", status)
	}
	login(t, s)
	if status := s.call(t, "GET", "/api/v1/users/ann/tokens/test", "", &got); status != http.StatusOK {
		t.Fatalf("HTTP %d", status)
	}
	p.mu.Lock()
	granted := slices.Contains(p.secrets, got.Token)
	p.mu.Unlock()
	if !granted || got.Expires <= time.Now().Unix() {
		t.Errorf("the provider has granted it: %v; it expires at %d", granted, got.Expires)
	}
	for _, path := range []string{"/api/v1/users/bob/tokens/test", "/api/v1/users/ann/tokens/other"} {
		if status := s.call(t, "GET", path, "", nil); status != http.StatusNotFound {
			t.Errorf("%s: HTTP %d", path, status)
		}
	}
}
