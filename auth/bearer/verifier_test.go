package bearer

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
)

func TestA23MissingToken(t *testing.T) {
	srv := newServer(t, active(""))
	v, _ := introspector(t, srv, nil)
	refuse(t, v, "", ErrMissing)
	p, err := v.Authenticate(context.Background(), &auth.Attempt{Stage: auth.StageConnect, Login: "alice", Passcode: "x"})
	if p != nil || !errors.Is(err, auth.ErrNotMine) {
		t.Errorf("without a bearer: %v, %v", p, err)
	}
	srv.asked(t, 0)
}

func TestA23Scope(t *testing.T) {
	const challenge = `Bearer error="insufficient_scope", scope="sensor-data admin"`
	required := []string{"sensor-data", "admin"}
	s := es256("k")
	keys, opaque := newServer(t, keySetOf(t, s.public())), newServer(t, active(""))
	jwt, _ := issuerAt(t, keys, func(o *JWT) { o.Scopes = required })
	introspection, _ := introspector(t, opaque, func(o *Options) {
		o.SharedNames = true
		o.Introspection[0].Scopes = required
		o.Introspection = append(o.Introspection, Introspection{URL: opaque.URL}) // the first that knows the token decides
	})
	userInfo := newVerifier(t, Options{UserInfo: []UserInfo{{URL: opaque.URL, Scopes: required}}})
	for v, token := range map[*Verifier]string{
		jwt: s.sign(t, goodClaims(issuerName), nil), introspection: "abcdef", userInfo: "abcdef",
	} {
		for range 2 {
			if e := refuse(t, v, token, ErrScope); e.Refusal.Challenge != challenge {
				t.Errorf("challenge %s", e.Refusal.Challenge)
			}
		}
	}
	opaque.asked(t, 2)
	accept(t, jwt, s.sign(t, goodClaims(issuerName).with("scope", "admin sensor-data"), nil))
}

// The client's text is one of a few constants, which do not reveal the cause.
func TestA23ReasonsAreConstant(t *testing.T) {
	s := es256("k")
	v, _ := issuerAt(t, newServer(t, keySetOf(t, s.public())), nil)
	want := refuse(t, v, "x", errUnknown).Refusal
	for rule, token := range map[error]string{
		errExpired:  s.sign(t, goodClaims(issuerName).with("exp", 1), nil),
		errKey:      signer{"<secret>", s.alg, s.key}.sign(t, goodClaims(issuerName), nil),
		errAudience: s.sign(t, goodClaims(issuerName).with("aud", "<secret>"), nil),
		errName:     s.sign(t, goodClaims(issuerName).with("sub", "<secret>\n"), nil),
	} {
		e := refuse(t, v, token, rule)
		if e.Refusal != want || strings.Contains(e.Error(), "secret") {
			t.Errorf("%v: %+v", e, e.Refusal)
		}
	}
}

func TestN11TokenIsBoundToItsUser(t *testing.T) {
	srv := newServer(t, active(""))
	v, _ := introspector(t, srv, nil)
	alice, bob := &auth.Principal{Name: "alice"}, &auth.Principal{Name: "bob"}
	for _, test := range []struct {
		attempt auth.Attempt
		ok      bool
	}{
		{auth.Attempt{Stage: auth.StageHandshake}, true},
		{auth.Attempt{Stage: auth.StageConnect}, true},
		{auth.Attempt{Stage: auth.StageConnect, Login: "alice"}, true},
		{auth.Attempt{Stage: auth.StageConnect, Login: "bob"}, false},
		{auth.Attempt{Stage: auth.StageConnect, Principal: alice}, true},
		{auth.Attempt{Stage: auth.StageConnect, Principal: bob}, false},
		{auth.Attempt{Stage: auth.StageConnect, Principal: &auth.Principal{}}, false},
		{auth.Attempt{Stage: auth.StageRenew, Principal: alice}, true},
		{auth.Attempt{Stage: auth.StageRenew, Principal: bob}, false},
	} {
		test.attempt.Bearer = "abcdef"
		p, err := v.Authenticate(context.Background(), &test.attempt)
		var refusal *auth.Refusal
		if test.ok && (err != nil || p.Name != "alice") || !test.ok && (p != nil || !errors.As(err, &refusal)) {
			t.Errorf("%v login=%s principal=%v: %v, %v", test.attempt, test.attempt.Login, test.attempt.Principal, p, err)
		}
	}
	srv.answer(text(`{"active":false}`))
	_, err := v.Authenticate(context.Background(), &auth.Attempt{Stage: auth.StageConnect, Bearer: "bad", Principal: alice})
	if !errors.Is(err, errInactive) {
		t.Errorf("a bad token over a good handshake: %v", err)
	}
}

func TestOptions(t *testing.T) {
	good := JWT{Issuer: "https://issuer.example.com", Audience: audience}
	with := func(change func(*JWT)) Options {
		o := good
		change(&o)
		return Options{JWT: []JWT{good, o}, SharedNames: true}
	}
	for want, o := range map[string]Options{
		"JWT: is empty, and so are the endpoints": {},
		"JWT[1].Issuer: is listed twice":          {JWT: []JWT{good, good}},
		"JWT[1].Issuer: is required":              with(func(o *JWT) { o.Issuer = "" }),
		"JWT[1].Issuer: without the address":      with(func(o *JWT) { o.Issuer = "not a URL" }),
		"JWT[1].Audience: is required":            with(func(o *JWT) { o.Audience = "" }),
		"JWT[1].JWKS: must be":                    with(func(o *JWT) { o.JWKS = "http://example.com/keys" }),
		"JWT[1].Algorithms: \"HS256\"":            with(func(o *JWT) { o.Algorithms = []string{"HS256"} }),
		"JWT[1].Scopes: \"a b\"":                  with(func(o *JWT) { o.Scopes = []string{"a b"} }),
		"Introspection[0].URL: must be":           {Introspection: []Introspection{{}}},
		"Introspection[0].ClientSecret":           {Introspection: []Introspection{{URL: "https://x", ClientSecret: "<secret>"}}},
		"Introspection[0].Scopes: \"\\\"\"":       {Introspection: []Introspection{{URL: "https://x", Scopes: []string{`"`}}}},
		"UserInfo[0].URL: must be":                {UserInfo: []UserInfo{{URL: "/me"}}},
		"UserInfo[0].Scopes: \"\"":                {UserInfo: []UserInfo{{URL: "https://x", Scopes: []string{""}}}},
	} {
		if v, err := New(o); v != nil || err == nil || !strings.HasPrefix(err.Error(), "bearer: Options."+want) || strings.Contains(err.Error(), "<secret>") {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := New(with(func(o *JWT) { o.Issuer, o.JWKS = "any name", "https://example.com/keys" })); err != nil {
		t.Error(err)
	}
}

func TestOptionsURLs(t *testing.T) {
	for raw, want := range map[string]bool{
		"https://example.com": true, "https://example.com:8443/a?b=c": true, "https://10.0.0.1/": true,
		"http://localhost:1": true, "http://LOCALHOST": true, "http://a.localhost": true, "http://127.0.0.2:80": true, "http://[::1]:80/": true,
		"http://example.com": false, "http://localhost.example.com": false, "http://127.0.0.1.example.com": false,
		"http://10.0.0.1": false, "http://[::2]": false, "http://0.0.0.0": false, "ftp://localhost": false,
		"https://": false, "https:///keys": false, "": false, "https://u:p@example.com": false, "https://example.com/#a": false,
		"//example.com": false, "https:example.com": false, "http://notlocalhost": false, "https://[": false,
	} {
		if got := secureURL(raw) == nil; got != want {
			t.Errorf("secureURL(%q) = %v", raw, got)
		}
	}
}

func TestOptionsAreCopied(t *testing.T) {
	srv := newServer(t, active(""))
	scopes := []string{"sensor-data"}
	client := &http.Client{Transport: srv.Client().Transport}
	v := newVerifier(t, Options{Introspection: []Introspection{{URL: srv.URL, Scopes: scopes}}, Client: client})
	scopes[0], client.Transport = "changed", roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("changed") })
	accept(t, v, "abcdef")
	if client.CheckRedirect != nil {
		t.Error("the caller's client was changed")
	}
}
