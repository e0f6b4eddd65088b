package oauth

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestA5E14CallbacksThatBelongToNoLogin(t *testing.T) {
	s := newStandin()
	c := newClient(t, s, nil)
	b, other := newBrowser(t, c), newBrowser(t, c)
	q := b.login("")
	foreign := other.login("")
	state := url.QueryEscape(q.Get("state"))
	for name, query := range map[string]string{
		"E-14 without state, the seed's step 8": "code=XYZ789",
		"E-14 foreign state":                    "code=XYZ789&state=" + url.QueryEscape(foreign.Get("state")),
		"unknown state":                         "code=XYZ789&state=" + newSecret(),
		"empty state":                           "code=XYZ789&state=",
		"state twice":                           "code=XYZ789&state=" + state + "&state=" + state,
		"code twice":                            "code=a&code=b&state=" + state,
		"broken query":                          "code=%zz&state=" + state,
		"error without state":                   "error=access_denied",
		"nothing":                               "",
	} {
		if resp := b.get("/oauth/callback?" + query); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d, want 400", name, resp.StatusCode)
		}
	}
	if n := len(s.tokenRequests()); n != 0 {
		t.Errorf("%d token requests were made", n)
	}
	// None of that has used up a login.
	for _, one := range []struct {
		b *browser
		q url.Values
	}{{b, q}, {other, foreign}} {
		if resp := one.b.callback(s, one.q); resp.StatusCode != http.StatusSeeOther {
			t.Error(resp.StatusCode)
		}
	}
}

func TestA5StateIsGoodOnce(t *testing.T) {
	s := newStandin()
	b := newBrowser(t, newClient(t, s, nil))
	q := b.login("")
	b.callback(s, q)
	if resp := b.callback(s, q); resp.StatusCode != http.StatusBadRequest {
		t.Error(resp.StatusCode)
	}
	if n := len(s.tokenRequests()); n != 1 {
		t.Errorf("%d token requests", n)
	}
}

func TestA5OneOfManyParallelCallbacksWins(t *testing.T) {
	s := newStandin()
	b := newBrowser(t, newClient(t, s, nil))
	q := b.login("")
	s.set(func(s *standin) { s.nonce = q.Get("nonce") })
	var wg sync.WaitGroup
	statuses := make(chan int, 50)
	for range cap(statuses) {
		r := b.request(http.MethodGet, "/oauth/callback?code=c&state="+q.Get("state"), nil)
		wg.Go(func() { statuses <- newBrowser(t, b.client).do(r).StatusCode })
	}
	testkit.Wait(t, &wg)
	close(statuses)
	won := 0
	for status := range statuses {
		if status == http.StatusSeeOther {
			won++
		}
	}
	if won != 1 || len(s.tokenRequests()) != 1 {
		t.Errorf("%d callbacks won with %d token requests", won, len(s.tokenRequests()))
	}
}

func TestA5StateLivesTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		b := newBrowser(t, newClient(t, s, nil))
		early, late := b.login(""), b.login("")
		time.Sleep(10*time.Minute - time.Second)
		if resp := b.callback(s, early); resp.StatusCode != http.StatusSeeOther {
			t.Error("at 9:59:", resp.StatusCode)
		}
		time.Sleep(time.Second)
		if resp := b.callback(s, late); resp.StatusCode != http.StatusBadRequest {
			t.Error("at 10:00:", resp.StatusCode)
		}
	})
}

func TestA5ACookieThatOccursTwiceIsNone(t *testing.T) {
	s := newStandin()
	b := newBrowser(t, newClient(t, s, nil))
	r := b.request(http.MethodGet, "/oauth/callback?code=c&state="+b.login("").Get("state"), nil)
	for _, value := range []string{newSecret(), b.cookies["__Host-hoofbeat-login"]} {
		r.AddCookie(&http.Cookie{Name: "__Host-hoofbeat-login", Value: value})
	}
	if resp := b.do(r); resp.StatusCode != http.StatusBadRequest {
		t.Error(resp.StatusCode)
	}
}

func TestA6ErrorCallback(t *testing.T) {
	for code, status := range map[string]int{
		"access_denied": http.StatusForbidden, "server_error": http.StatusBadGateway,
		"<script>alert(1)</script>": http.StatusBadGateway, "": http.StatusBadGateway,
	} {
		t.Run(code, func(t *testing.T) {
			s := newStandin()
			var log bytes.Buffer
			b := newBrowser(t, newClient(t, s, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) }))
			q := b.login("")
			resp := b.get("/oauth/callback?" + url.Values{
				"error": {code}, "error_description": {"<b>bad & ugly</b>"}, "error_uri": {"https://evil.example"}, "state": {q.Get("state")},
			}.Encode())
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != status || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" {
				t.Error(resp.StatusCode, resp.Header)
			}
			if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
				t.Error(csp)
			}
			for _, bad := range []string{"script", "ugly", "evil", q.Get("state")} {
				if strings.Contains(string(body), bad) || strings.Contains(log.String(), bad) {
					t.Errorf("%q was repeated:\n%s\n%s", bad, body, &log)
				}
			}
			if resp := b.callback(s, q); resp.StatusCode != http.StatusBadRequest {
				t.Error("the login is still pending")
			}
			if n := len(s.tokenRequests()); n != 0 {
				t.Errorf("%d token requests", n)
			}
		})
	}
}

func TestRFC9207IssuerOfTheCallback(t *testing.T) {
	for name, c := range map[string]struct {
		iss       []string
		announced bool
		want      int
	}{
		"right":              {[]string{issuer}, true, http.StatusSeeOther},
		"right, unannounced": {[]string{issuer}, false, http.StatusSeeOther},
		"none, unannounced":  {nil, false, http.StatusSeeOther},
		"none, announced":    {nil, true, http.StatusBadRequest},
		"wrong":              {[]string{"https://evil.example"}, false, http.StatusBadRequest},
		"almost":             {[]string{issuer + "/"}, false, http.StatusBadRequest},
		"twice":              {[]string{issuer, issuer}, false, http.StatusBadRequest},
		"empty":              {[]string{""}, false, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStandin()
			s.document["authorization_response_iss_parameter_supported"] = c.announced
			b := newBrowser(t, newClient(t, s, nil))
			q := b.login("")
			s.nonce = q.Get("nonce")
			resp := b.get("/oauth/callback?" + url.Values{"code": {"c"}, "state": {q.Get("state")}, "iss": c.iss}.Encode())
			if resp.StatusCode != c.want {
				t.Errorf("%d, want %d", resp.StatusCode, c.want)
			}
			if n := len(s.tokenRequests()); c.want == http.StatusBadRequest && n != 0 {
				t.Error("the code was sent")
			}
		})
	}
}

func TestMixUpIsRefused(t *testing.T) {
	honest, evil := newStandin(), newStandin()
	transport := direct{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host == "evil.example" {
			evil.ServeHTTP(w, r)
			return
		}
		honest.ServeHTTP(w, r)
	})}
	evil.document = map[string]any{
		"issuer": "https://evil.example", "authorization_endpoint": "https://evil.example/authorize",
		"token_endpoint": "https://evil.example/token", "jwks_uri": "https://evil.example/jwks",
	}
	for name, redirect := range map[string]string{
		"redirect URL of its own": "https://app.example/oauth/callback/evil",
		"shared redirect URL":     "https://app.example/oauth/callback",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBrowser(t, newClient(t, honest, func(o *Options) {
				o.Providers[0].UserPrefix = "honest:"
				p := o.Providers[0]
				p.Name, p.Issuer, p.UserPrefix, p.RedirectURL = "evil", "https://evil.example", "evil:", redirect
				o.Providers, o.Transport = append(o.Providers, p), transport
			}))
			// The user chose evil, which sent the browser on to the honest
			// provider, which sends it back with a code.
			q := b.login("?provider=evil")
			for _, iss := range []string{"", "&iss=" + url.QueryEscape(issuer)} {
				resp := b.get("/oauth/callback?code=c&state=" + q.Get("state") + iss)
				if resp.StatusCode != http.StatusBadRequest {
					t.Error(resp.StatusCode)
				}
				q = b.login("?provider=evil")
			}
			if n := len(evil.tokenRequests()); n != 0 {
				t.Errorf("evil got %d codes", n)
			}
		})
	}
}

func TestLoginWithoutCodeIsClosed(t *testing.T) {
	s := newStandin()
	b := newBrowser(t, newClient(t, s, nil))
	q := b.login("")
	if resp := b.get("/oauth/callback?state=" + q.Get("state")); resp.StatusCode != http.StatusBadRequest || len(s.tokenRequests()) != 0 {
		t.Error(resp.StatusCode)
	}
}

func TestTokensOfARefusedLoginAreRevoked(t *testing.T) {
	s := newStandin()
	s.claims = map[string]any{"aud": "somebody else"}
	b := newBrowser(t, newClient(t, s, nil))
	if resp := b.callback(s, b.login("")); resp.StatusCode != http.StatusBadGateway || b.sessionCookie() != "" {
		t.Error(resp.StatusCode)
	}
	if r := s.revocations(); len(r) != 2 || r[0].Get("token") != "refresh-001" || r[1].Get("token") != "access-001" {
		t.Error(r)
	}
}

func TestLocalUserGetsTheTokens(t *testing.T) {
	s := newStandin()
	local := ""
	c := newClient(t, s, func(o *Options) {
		o.LocalUser = func(*http.Request) string { return local }
		o.Providers = []Provider{{
			Name: "oada", AuthURL: issuer + "/authorize", TokenURL: issuer + "/token", ClientID: "x", AuthStyle: AuthNone,
			RedirectURL: "https://app.example/oauth/callback",
		}}
	})
	b := newBrowser(t, c)
	if resp := b.get("/oauth/login"); resp.StatusCode != http.StatusUnauthorized {
		t.Error("nobody:", resp.StatusCode)
	}
	local = "bob"
	if b.signIn(s); b.signedIn() != "bob" {
		t.Error(b.signedIn())
	}
	if token, err := c.Token(t.Context(), "bob", "oada"); token != "access-001" {
		t.Error(token, err)
	}
	q := b.login("")
	local = "eve"
	if resp := b.callback(s, q); resp.StatusCode != http.StatusUnauthorized {
		t.Error("another user at the end:", resp.StatusCode)
	}
}

func TestStaticOpenIDProviderAtAnAddressOfItsOwn(t *testing.T) {
	s := newStandin()
	c := newClient(t, s, func(o *Options) {
		p := &o.Providers[0]
		p.AuthURL, p.TokenURL, p.JWKSURL, p.Algorithms = issuer+"/authorize", issuer+"/token", issuer+"/jwks", []string{"ES256"}
		p.RedirectURL = "http://localhost:1888/myservice/oada/"
	})
	b := newBrowser(t, c)
	q := b.login("")
	s.nonce = q.Get("nonce")
	b.handler = http.HandlerFunc(c.Callback)
	if resp := b.get("/myservice/oada/?code=XYZ789&state=" + q.Get("state")); resp.StatusCode != http.StatusSeeOther || b.signedIn() != "alice" {
		t.Error(resp.StatusCode)
	}
	if n := s.discoveries.Load(); n != 0 {
		t.Error("discovered all the same")
	}
}

func TestLoginThatCannotBeStoredIsNone(t *testing.T) {
	s := newStandin()
	var log bytes.Buffer
	c := newClient(t, s, func(o *Options) {
		o.Store, o.Logger = brokenStore{NewMemoryStore()}, slog.New(slog.NewTextHandler(&log, nil))
	})
	b := newBrowser(t, c)
	if resp := b.callback(s, b.login("")); resp.StatusCode != http.StatusInternalServerError || b.sessionCookie() != "" || len(c.sessions.byID) != 0 {
		t.Error(resp.StatusCode, len(c.sessions.byID))
	}
	if len(s.revocations()) != 2 || !strings.Contains(log.String(), "disk full") || strings.Contains(b.seen.String(), "disk") {
		t.Error(s.revocations(), &log)
	}
}

// hookedStore calls a function before each update.
type hookedStore struct {
	*MemoryStore
	before func()
}

func (s *hookedStore) Update(ctx context.Context, k Key, change func(*Token) *Token) error {
	s.before()
	return s.MemoryStore.Update(ctx, k, change)
}

func TestLogoutBetweenSessionAndTokens(t *testing.T) {
	s := newStandin()
	store := &hookedStore{MemoryStore: NewMemoryStore()}
	c := newClient(t, s, func(o *Options) { o.Store = store })
	store.before = func() { c.sessions.endUser("alice", "") }
	b := newBrowser(t, c)
	if resp := b.callback(s, b.login("")); resp.StatusCode != http.StatusBadRequest || b.sessionCookie() != "" {
		t.Error(resp.StatusCode)
	}
	if _, err := store.Load(t.Context(), aliceAtIDP); !errors.Is(err, ErrNoToken) || len(s.revocations()) != 2 {
		t.Error("the tokens outlive the logout:", err)
	}
}

func TestOptionsAreCopied(t *testing.T) {
	o := Options{Providers: []Provider{oidcProvider()}, Transport: direct{newStandin()}}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	o.Providers[0].Name, o.Providers[0].Scopes[0] = "other", "other"
	if scope := newBrowser(t, c).login("").Get("scope"); scope != "openid offline_access" {
		t.Error(scope)
	}
}
