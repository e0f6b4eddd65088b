package bearer

import (
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
)

// The alices of two issuers are two people, unless the options state otherwise.
func TestNamesAreScopedByIssuer(t *testing.T) {
	const one, two = "https://one.example", "https://two.example"
	jwt := func(issuer, prefix string) JWT { return JWT{Issuer: issuer, Audience: audience, UserPrefix: prefix} }
	asked := Introspection{URL: "https://x/introspect"}
	of := func(i Introspection, issuer, claim string) Introspection {
		i.Issuer, i.UserClaim = issuer, claim
		return i
	}
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"two issuers":                    {Options{JWT: []JWT{jwt(one, ""), jwt(two, "")}}, "JWT[0] and bearer.Options.JWT[1]"},
		"one prefix":                     {Options{JWT: []JWT{jwt(one, "one:"), jwt(two, "")}}, "JWT[0] and bearer.Options.JWT[1]"},
		"prefixes":                       {Options{JWT: []JWT{jwt(one, "one:"), jwt(two, "two:")}}, ""},
		"shared":                         {Options{JWT: []JWT{jwt(one, ""), jwt(two, "")}, SharedNames: true}, ""},
		"introspection":                  {Options{JWT: []JWT{jwt(one, "")}, Introspection: []Introspection{asked}}, "JWT[0] and bearer.Options.Introspection[0]"},
		"introspection of the issuer":    {Options{JWT: []JWT{jwt(one, "")}, Introspection: []Introspection{of(asked, one, "")}}, ""},
		"introspection by another claim": {Options{JWT: []JWT{jwt(one, "")}, Introspection: []Introspection{of(asked, one, "username")}}, "Introspection[0]"},
		"sub written out":                {Options{JWT: []JWT{jwt(one, "")}, Introspection: []Introspection{of(asked, one, "sub")}}, ""},
		"userinfo":                       {Options{JWT: []JWT{jwt(one, "")}, UserInfo: []UserInfo{{URL: "https://x/me"}}}, "JWT[0] and bearer.Options.UserInfo[0]"},
		"userinfo of the issuer":         {Options{JWT: []JWT{jwt(one, "")}, UserInfo: []UserInfo{{URL: "https://x/me", Issuer: one}}}, ""},
	} {
		v, err := New(c.o)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if v != nil && len(v.NameSpaces()) != len(c.o.JWT)+len(c.o.Introspection)+len(c.o.UserInfo) {
			t.Errorf("%s: %+v", name, v.NameSpaces())
		}
	}
}

func TestUserPrefix(t *testing.T) {
	a, b := es256("k"), signer{"k", jose.ES256, otherKey()}
	srvA, srvB := newServer(t, keySetOf(t, a.public())), newServer(t, keySetOf(t, b.public()))
	opaque := newServer(t, text(`{"active":true,"sub":"alice"}`))
	of := func(s *server, prefix string) JWT {
		return JWT{Issuer: s.URL, Audience: audience, JWKS: s.URL, Algorithms: []string{"ES256"}, UserPrefix: prefix}
	}
	v := newVerifier(t, Options{
		JWT:           []JWT{of(srvA, "a:"), of(srvB, "b:")},
		Introspection: []Introspection{{URL: opaque.URL, UserPrefix: "c:"}},
		Clock:         (&testClock{}).now,
	})
	first := accept(t, v, a.sign(t, goodClaims(srvA.URL), nil))
	second := accept(t, v, b.sign(t, goodClaims(srvB.URL), nil))
	third := accept(t, v, "opaque")
	if first.Name != "a:alice" || second.Name != "b:alice" || third.Name != "c:alice" {
		t.Errorf("names %q, %q and %q", first.Name, second.Name, third.Name)
	}
	refuse(t, v, a.sign(t, goodClaims(srvA.URL).with("sub", " "), nil), errName)
	refuse(t, v, a.sign(t, goodClaims(srvA.URL).with("sub", strings.Repeat("x", auth.MaxNameBytes-1)), nil), errName)
}

// A jti cannot name another issuer's token or one of Hoofbeat's own
// credentials.
func TestCredentialIDsAreScopedByIssuer(t *testing.T) {
	a, b := es256("k"), signer{"k", jose.ES256, otherKey()}
	srvA, srvB := newServer(t, keySetOf(t, a.public())), newServer(t, keySetOf(t, b.public()))
	of := func(s *server) JWT {
		return JWT{Issuer: s.URL, Audience: audience, JWKS: s.URL, Algorithms: []string{"ES256"}}
	}
	v := newVerifier(t, Options{JWT: []JWT{of(srvA), of(srvB)}, SharedNames: true, Clock: (&testClock{}).now})
	store := auth.NewRevocations()
	key := []byte(strings.Repeat("k", auth.MinSecretBytes))
	tickets, err := ticket.New(ticket.NewMemory(), store, ticket.Options{Secrets: []ticket.Secret{{ID: "main", Key: key}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, jti := range []string{"token-1", "backend:main", "oidc:0123", "users:0123", "sha256:0123"} {
		first := accept(t, v, a.sign(t, goodClaims(srvA.URL).with("jti", jti), nil))
		second := accept(t, v, b.sign(t, goodClaims(srvB.URL).with("jti", jti), nil))
		if want := "jwt:" + srvA.URL + "#" + jti; first.CredentialID != want || want != CredentialID(srvA.URL, jti) {
			t.Errorf("CredentialID %q, want %q", first.CredentialID, want)
		}
		if err := store.Revoke(t.Context(), auth.Revocation{Credential: first.CredentialID}); err != nil {
			t.Fatal(err)
		}
		if !store.Revoked(first) || store.Revoked(second) || store.Revoked(&auth.Principal{CredentialID: jti}) {
			t.Errorf("%s: revoked is %v, another issuer's %v", jti, store.Revoked(first), store.Revoked(second))
		}
	}
	if _, err := tickets.MintBackend(t.Context(), string(key), ticket.Grant{}); err != nil {
		t.Errorf("backends are shut out: %v", err)
	}
}

// A CredentialID identifies its parts, whatever they contain.
func TestCredentialIDIsUnambiguous(t *testing.T) {
	seen := make(map[string][2]string)
	for _, issuer := range []string{"a", "a#b", "a%23b", "a%", "a%25", "", "#"} {
		for _, jti := range []string{"b", "b#c", "#b", "%23", "c"} {
			id := CredentialID(issuer, jti)
			if other, ok := seen[id]; ok {
				t.Errorf("%q is of %q and of %q", id, other, [2]string{issuer, jti})
			}
			seen[id] = [2]string{issuer, jti}
		}
	}
}

// An introspection endpoint for one issuer cannot accept tokens of another.
func TestIntrospectionIssuer(t *testing.T) {
	for answer, rule := range map[string]error{
		`{"active":true,"sub":"alice"}`:                            nil,
		`{"active":true,"sub":"alice","iss":"` + issuerName + `"}`: nil,
		`{"active":true,"sub":"alice","iss":"https://other"}`:      errIssuer,
		`{"active":true,"sub":"alice","iss":7}`:                    errIssuer,
	} {
		srv := newServer(t, text(answer))
		v := newVerifier(t, Options{Introspection: []Introspection{{URL: srv.URL, Issuer: issuerName}}})
		if rule == nil {
			accept(t, v, "opaque")
		} else {
			refuse(t, v, "opaque", rule)
		}
	}
}

// The roles and scopes in an endpoint's answer are checked as strictly as those
// in a token.
func TestEndpointRoles(t *testing.T) {
	for answer, rule := range map[string]error{
		`{"active":true,"sub":"alice","roles":["guest",7]}`: errRoles,
		`{"active":true,"sub":"alice","roles":{"guest":1}}`: errRoles,
		`{"active":true,"sub":"alice","scope":{"x":1}}`:     errScopes,
		`{"active":true,"sub":"alice","roles":null}`:        nil,
	} {
		srv := newServer(t, text(answer))
		v := newVerifier(t, Options{Introspection: []Introspection{{URL: srv.URL}}})
		if rule == nil {
			accept(t, v, "opaque")
		} else {
			refuse(t, v, "opaque", rule)
		}
	}
}
