package oauth

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hoofbeat/hoofbeat/auth"
)

// atHash is OpenID Connect Core section 3.1.3.6 for ES256.
func atHash(access string) string {
	sum := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func TestIDTokenClaims(t *testing.T) {
	for name, c := range map[string]struct {
		claims map[string]any
		ok     bool
	}{
		"good":                   {nil, true},
		"another nonce":          {map[string]any{"nonce": newSecret()}, false},
		"no nonce":               {map[string]any{"nonce": nil}, false},
		"another issuer":         {map[string]any{"iss": "https://evil.example"}, false},
		"another audience":       {map[string]any{"aud": "other"}, false},
		"several audiences, azp": {map[string]any{"aud": []string{"other", clientID}, "azp": clientID}, true},
		"several audiences":      {map[string]any{"aud": []string{"other", clientID}}, false},
		"another azp":            {map[string]any{"azp": "other"}, false},
		"expired":                {map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}, false},
		"not yet":                {map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}, false},
		"no exp":                 {map[string]any{"exp": nil}, false},
		"no sub":                 {map[string]any{"sub": nil}, false},
		"sub is no text":         {map[string]any{"sub": 5}, false},
		"sub with a line feed":   {map[string]any{"sub": "a\nb"}, false},
		"sub of 1025 bytes":      {map[string]any{"sub": strings.Repeat("a", 1025)}, false},
		"sid of 1025 bytes":      {map[string]any{"sid": strings.Repeat("a", 1025)}, false},
		"at_hash":                {map[string]any{"at_hash": atHash("access-001")}, true},
		"another at_hash":        {map[string]any{"at_hash": atHash("access-002")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStandin()
			s.claims = c.claims
			b := newBrowser(t, newClient(t, s, nil))
			resp := b.callback(s, b.login(""))
			if (resp.StatusCode == http.StatusSeeOther) != c.ok || (b.signedIn() != "") != c.ok {
				t.Errorf("%d, signed in as %q", resp.StatusCode, b.signedIn())
			}
		})
	}
}

func TestIDTokenSignatures(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, forge := range map[string]func(s *standin, claims map[string]any) string{
		"another key": func(s *standin, claims map[string]any) string { return sign(newKey(), s.kid, jose.ES256, claims) },
		"another kid": func(s *standin, claims map[string]any) string { return sign(newKey(), "k2", jose.ES256, claims) },
		"HS256 with the client secret": func(s *standin, claims map[string]any) string {
			return sign([]byte(strings.Repeat(secret, 8)), s.kid, jose.HS256, claims)
		},
		"an algorithm that is not announced": func(s *standin, claims map[string]any) string { return sign(rsaKey, s.kid, jose.RS256, claims) },
		"none": func(_ *standin, _ map[string]any) string {
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{}`)) + "."
		},
		"nothing": func(*standin, map[string]any) string { return "" },
		"garbage": func(*standin, map[string]any) string { return "a.b.c" },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStandin()
			s.tokenReply = func(w http.ResponseWriter, _ *http.Request) {
				token := forge(s, map[string]any{
					"iss": issuer, "sub": "alice", "aud": clientID, "nonce": s.nonce, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
				})
				writeJSON(w, http.StatusOK, map[string]any{"access_token": "a", "token_type": "bearer", "id_token": token})
			}
			b := newBrowser(t, newClient(t, s, nil))
			if resp := b.callback(s, b.login("")); resp.StatusCode != http.StatusBadGateway || b.sessionCookie() != "" {
				t.Error(resp.StatusCode)
			}
		})
	}
}

// Logout tokens with unknown keys cause at most one request for keys in five
// seconds, and keep no login from a new key.
func TestStrangersDoNotKeepLoginsFromNewKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		c := newClient(t, s, nil)
		b := newBrowser(t, c)
		b.signIn(s)
		time.Sleep(time.Hour)
		forged := sign(newKey(), "k9", jose.ES256, map[string]any{"iss": issuer})
		before := s.jwksRequests.Load()
		for range 99 { // 9.9 s
			b.post("/oauth/backchannel-logout", map[string][]string{"logout_token": {forged}})
			time.Sleep(100 * time.Millisecond)
		}
		if n := s.jwksRequests.Load() - before; n != 2 {
			t.Errorf("%d requests for keys in ten seconds, want 2", n)
		}
		b.post("/oauth/backchannel-logout", map[string][]string{"logout_token": {forged}})
		s.set(func(s *standin) { s.key, s.kid = newKey(), "k2" }) // just after the strangers' fetch
		b.signIn(s)
		if resp := tell(b, s.logoutToken(nil)); resp.StatusCode == http.StatusOK {
			t.Error("the strangers have caused no fetch just now: the test tests nothing")
		}
		time.Sleep(keysFresh)
		if resp := tell(b, s.logoutToken(nil)); resp.StatusCode != http.StatusOK || b.signedIn() != "" {
			t.Errorf("a logout token of the new key after %v: %d", keysFresh, resp.StatusCode)
		}
	})
}

func TestUserAndRoles(t *testing.T) {
	roles := []any{"admin", "ops"}
	for name, c := range map[string]struct {
		change func(*Provider)
		claims map[string]any
		user   map[string]any
		want   *auth.Principal // nil: refused
	}{
		"prefix":                                {func(p *Provider) { p.UserPrefix = "idp:" }, nil, nil, &auth.Principal{Name: "idp:alice"}},
		"number":                                {func(p *Provider) { p.UserClaim = "uid" }, map[string]any{"uid": 9007199254740993}, nil, &auth.Principal{Name: "9007199254740993"}},
		"fraction":                              {func(p *Provider) { p.UserClaim = "uid" }, map[string]any{"uid": 1.5}, nil, nil},
		"list":                                  {func(p *Provider) { p.UserClaim = "uid" }, map[string]any{"uid": []string{"a"}}, nil, nil},
		"verified e-mail":                       {func(p *Provider) { p.UserClaim = "email" }, map[string]any{"email": "a@x", "email_verified": true}, nil, &auth.Principal{Name: "a@x"}},
		"unverified e-mail":                     {func(p *Provider) { p.UserClaim = "email" }, map[string]any{"email": "a@x", "email_verified": false}, nil, nil},
		"e-mail, who knows":                     {func(p *Provider) { p.UserClaim = "email" }, map[string]any{"email": "a@x"}, nil, nil},
		"claim of userinfo":                     {func(p *Provider) { p.UserClaim = "name" }, nil, map[string]any{"sub": "alice", "name": "Alice"}, &auth.Principal{Name: "Alice"}},
		"userinfo about another":                {func(p *Provider) { p.UserClaim = "name" }, nil, map[string]any{"sub": "bob", "name": "Alice"}, nil},
		"roles of userinfo":                     {func(p *Provider) { p.RolesClaim = "roles" }, map[string]any{"email": "a@x"}, map[string]any{"sub": "alice", "roles": "a b"}, &auth.Principal{Name: "alice", Roles: []string{"a", "b"}}},
		"userinfo cannot overrule the ID token": {func(p *Provider) { p.RolesClaim, p.Claims = "roles", []string{"org"} }, map[string]any{"roles": "user"}, map[string]any{"sub": "alice", "roles": "admin", "org": "x"}, &auth.Principal{Name: "alice", Roles: []string{"user"}, Claims: map[string]any{"org": "x"}}},
		"roles":                                 {func(p *Provider) { p.RolesClaim = "groups" }, map[string]any{"groups": roles}, nil, &auth.Principal{Name: "alice", Roles: []string{"admin", "ops"}}},
		"nested roles":                          {func(p *Provider) { p.RolesClaim = "realm_access.roles" }, map[string]any{"realm_access": map[string]any{"roles": roles}}, nil, &auth.Principal{Name: "alice", Roles: []string{"admin", "ops"}}},
		"dotted name":                           {func(p *Provider) { p.RolesClaim = "https://x.example/roles" }, map[string]any{"https://x.example/roles": roles}, nil, &auth.Principal{Name: "alice", Roles: []string{"admin", "ops"}}},
		"malformed role":                        {func(p *Provider) { p.RolesClaim = "groups" }, map[string]any{"groups": []any{"a", 5}}, nil, nil},
		"roles as a number":                     {func(p *Provider) { p.RolesClaim = "groups" }, map[string]any{"groups": 5}, nil, nil},
		"129 roles":                             {func(p *Provider) { p.RolesClaim = "groups" }, map[string]any{"groups": slices.Repeat([]string{"a"}, 129)}, nil, nil},
		"kept claim":                            {func(p *Provider) { p.Claims = []string{"org"} }, map[string]any{"org": "x"}, nil, &auth.Principal{Name: "alice", Claims: map[string]any{"org": "x"}}},
		"4 KiB of claims":                       {func(p *Provider) { p.Claims = []string{"org"} }, map[string]any{"org": strings.Repeat("x", 4096)}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStandin()
			s.claims, s.user = c.claims, c.user
			b := newBrowser(t, newClient(t, s, func(o *Options) { c.change(&o.Providers[0]) }))
			b.callback(s, b.login(""))
			p, ok := b.client.Session(b.request(http.MethodGet, "/", nil))
			if ok != (c.want != nil) {
				t.Fatalf("signed in: %v", ok)
			}
			if ok && (p.Name != c.want.Name || !slices.Equal(p.Roles, c.want.Roles) || !maps.Equal(p.Claims, c.want.Claims)) {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestUserOfAProviderWithoutIDTokens(t *testing.T) {
	s := newStandin()
	s.user = map[string]any{"username": "frank", "scope": []string{"sensor-data"}} // Observant's users/me
	b := newBrowser(t, newClient(t, s, func(o *Options) {
		o.Providers[0].Scopes, o.Providers[0].UserClaim = []string{"sensor-data"}, "username"
	}))
	if b.signIn(s); b.signedIn() != "frank" {
		t.Error(b.signedIn())
	}
}

// A provider cannot grant the roles and scopes with a meaning to Hoofbeat.
func TestLoginsAreForeign(t *testing.T) {
	s := newStandin()
	s.claims = map[string]any{"roles": []string{"backend", "editor"}}
	s.set(func(s *standin) {
		s.tokenReply = func(w http.ResponseWriter, _ *http.Request) {
			reply := s.grant()
			reply["scope"] = "openid operation:x chat"
			writeJSON(w, http.StatusOK, reply)
		}
	})
	b := newBrowser(t, newClient(t, s, func(o *Options) { o.Providers[0].RolesClaim = "roles" }))
	b.signIn(s)
	p := b.principal()
	if !slices.Equal(p.Roles, []string{"editor"}) || slices.ContainsFunc(p.Scopes, func(s string) bool { return strings.HasPrefix(s, "operation:") }) {
		t.Errorf("%+v", p)
	}
}
