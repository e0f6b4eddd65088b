package oauth

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestA1LoginRedirectsToTheProvider(t *testing.T) {
	s := newStandin()
	b := newBrowser(t, newClient(t, s, nil))
	resp := b.get("/oauth/login?provider=idp&return_to=/inbox%3Fa=1")
	location := resp.Header.Get("Location")
	if resp.StatusCode != http.StatusFound || !strings.HasPrefix(location, issuer+"/authorize?tenant=1&") {
		t.Fatalf("%d %s", resp.StatusCode, location)
	}
	u, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for name, want := range map[string]string{
		"client_id": clientID, "redirect_uri": "https://app.example/oauth/callback", "response_type": "code",
		"scope": "openid offline_access", "code_challenge_method": "S256",
	} {
		if got := q[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(q.Get(name)) != 43 { // 256 bits in base64url
			t.Errorf("%s has %d characters", name, len(q.Get(name)))
		}
	}
	if slices.Contains([]string{q.Get("nonce"), q.Get("code_challenge")}, q.Get("state")) {
		t.Error("state is used for something else too")
	}
	again := b.login("")
	if again.Get("state") == q.Get("state") || again.Get("code_challenge") == q.Get("code_challenge") || again.Get("nonce") == q.Get("nonce") {
		t.Error("two logins share a secret")
	}
}

func TestA1LoginCookieIsTiedToTheBrowser(t *testing.T) {
	resp := newBrowser(t, newClient(t, newStandin(), nil)).get("/oauth/login")
	header := resp.Header.Get("Set-Cookie")
	c := resp.Cookies()[0]
	if c.Name != "__Host-hoofbeat-login" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 600 || len(c.Value) != 43 {
		t.Error(header)
	}
	if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Error(resp.Header)
	}
}

func TestA1CookiesOnLoopbackHTTPAreNotSecure(t *testing.T) {
	c := newClient(t, newStandin(), func(o *Options) { o.Providers[0].RedirectURL = "http://localhost:8080/oauth/callback" })
	cookie := newBrowser(t, c).get("/oauth/login").Cookies()[0]
	if cookie.Secure || cookie.Name != "hoofbeat-login" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode {
		t.Error(cookie)
	}
}

func TestA2ParametersAreEncodedExactly(t *testing.T) {
	c := newClient(t, newStandin(), func(o *Options) {
		o.Providers = []Provider{{
			Name: "oada", AuthURL: "https://oada.example/oauth/authorize", TokenURL: "https://oada.example/oauth/token",
			UserInfoURL: "https://oada.example/api/users/me", UserClaim: "username", ClientID: "my service", ClientSecret: "x",
			Scopes: []string{"sensor-data", "a&b"}, RedirectURL: "http://localhost:1888/myservice/oada/",
			AuthParams: map[string]string{"audience": "https://api/?x=1"},
		}}
	})
	location := newBrowser(t, c).get("/oauth/login").Header.Get("Location")
	for _, want := range []string{
		"redirect_uri=http%3A%2F%2Flocalhost%3A1888%2Fmyservice%2Foada%2F", "client_id=my+service",
		"scope=sensor-data+a%26b", "audience=https%3A%2F%2Fapi%2F%3Fx%3D1",
	} {
		if !strings.Contains(location, want) {
			t.Errorf("no %s in %s", want, location)
		}
	}
	if strings.Contains(location, "nonce=") {
		t.Error("a nonce without OpenID Connect")
	}
}

func TestLoginRefusals(t *testing.T) {
	c := newClient(t, newStandin(), nil)
	for name, query := range map[string]string{
		"unknown provider":          "?provider=%3Cscript%3E",
		"provider twice":            "?provider=idp&provider=idp",
		"broken query":              "?provider=%zz",
		"foreign return_to":         "?return_to=https://evil.example/",
		"schemeless":                "?return_to=//evil.example/",
		"backslash":                 "?return_to=/%5Cevil.example/",
		"tab":                       "?return_to=/%09/evil.example/",
		"relative":                  "?return_to=inbox",
		"empty":                     "?return_to=",
		"script":                    "?return_to=javascript:alert(1)",
		"encoded host":              "?return_to=%2F%2Fevil.example",
		"escaped slashes":           "?return_to=/%252F/evil.example/%zz",
		"decodes to slashes":        "?return_to=/%252F%252Fevil.example",
		"line feed in the fragment": "?return_to=/%23%0A",
		"line feed":                 "?return_to=/a%0D%0ASet-Cookie:x",
		"longer than 1 KiB":         "?return_to=/" + strings.Repeat("a", 1024),
		"longer than 16 KiB":        "?x=" + strings.Repeat("a", 16<<10),
	} {
		t.Run(name, func(t *testing.T) {
			resp := newBrowser(t, c).get("/oauth/login" + query)
			if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" || len(resp.Cookies()) != 0 {
				t.Errorf("%d %v", resp.StatusCode, resp.Header)
			}
		})
	}
}

func TestReturnToLeadsToAPathOfThisSite(t *testing.T) {
	for path, want := range map[string]string{
		"/": "/", "/inbox?a=1&b=%2F%2Fx": "/inbox?a=1&b=%2F%2Fx", "/a//b": "/a//b", "/#top": "/#top", "/ü b": "/%C3%BC%20b",
	} {
		s := newStandin()
		b := newBrowser(t, newClient(t, s, nil))
		resp := b.callback(s, b.login("?return_to="+url.QueryEscape(path)))
		if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusSeeOther || got != want {
			t.Errorf("%s: %d %q", path, resp.StatusCode, got)
		}
	}
}

func TestSeveralProvidersHaveToBeChosen(t *testing.T) {
	c := newClient(t, newStandin(), func(o *Options) {
		second := o.Providers[0]
		o.Providers[0].UserPrefix = "1:"
		second.Name, second.UserPrefix, second.RedirectURL = "second", "2:", "https://app.example/oauth/callback/second"
		o.Providers = append(o.Providers, second)
	})
	b := newBrowser(t, c)
	if resp := b.get("/oauth/login"); resp.StatusCode != http.StatusBadRequest {
		t.Error(resp.StatusCode)
	}
	if q := b.login("?provider=second"); q.Get("redirect_uri") != "https://app.example/oauth/callback/second" {
		t.Error(q)
	}
}

func TestLoginWhileTheProviderIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		down := true
		var asked int
		c := newClient(t, s, func(o *Options) {
			o.Transport = direct{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked++; down {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				s.ServeHTTP(w, r)
			})}
		})
		b := newBrowser(t, c)
		for range 10 {
			resp := b.get("/oauth/login")
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
				t.Fatal(resp.StatusCode)
			}
		}
		if asked != 1 {
			t.Errorf("a provider that is down was asked %d times at once", asked)
		}
		down = false
		time.Sleep(discoveryPause)
		b.signIn(s)
	})
}

func TestDiscoveryMustBeAboutTheIssuer(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"another issuer":       func(d map[string]any) { d["issuer"] = "https://evil.example" },
		"slash at the end":     func(d map[string]any) { d["issuer"] = issuer + "/" },
		"token in clear":       func(d map[string]any) { d["token_endpoint"] = "http://idp.example/token" },
		"script for a page":    func(d map[string]any) { d["authorization_endpoint"] = "javascript:alert(1)" },
		"no keys":              func(d map[string]any) { delete(d, "jwks_uri") },
		"revocation elsewhere": func(d map[string]any) { d["revocation_endpoint"] = "ftp://idp.example" },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStandin()
			change(s.document)
			if resp := newBrowser(t, newClient(t, s, nil)).get("/oauth/login"); resp.StatusCode != http.StatusServiceUnavailable {
				t.Error(resp.StatusCode)
			}
		})
	}
}

func TestDiscoveryFallsBackToRFC8414(t *testing.T) {
	const tenant = "https://as.example/tenant"
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/oauth-authorization-server/tenant", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{
			"issuer": tenant, "authorization_endpoint": "https://as.example/authorize", "token_endpoint": "https://as.example/token",
			"userinfo_endpoint": "https://as.example/me",
		})
	})
	c := newClient(t, nil, func(o *Options) {
		o.Providers[0].Issuer, o.Providers[0].Scopes, o.Transport = tenant, nil, direct{mux}
	})
	resp := newBrowser(t, c).get("/oauth/login")
	if !strings.HasPrefix(resp.Header.Get("Location"), "https://as.example/authorize?") {
		t.Error(resp.StatusCode, resp.Header)
	}
}

// Unfinished logins from one address displace each other, not the login of
// another address.
func TestPendingLoginsAreSharedOutByAddress(t *testing.T) {
	s := newStandin()
	var from netip.Addr
	c := newClient(t, s, func(o *Options) {
		o.MaxPending, o.ClientAddress = 100, func(*http.Request) netip.Addr { return from }
	})
	ann, flood := newBrowser(t, c), newBrowser(t, c)
	from = netip.MustParseAddr("2001:db8::1")
	anns := ann.login("")
	for i := range 500 {
		from = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 14: byte(i >> 8), 15: byte(i)}) // of one /64
		flood.login("")
	}
	if n := c.pending.logins.len(); n != 100 || len(c.pending.logins.networks) != 2 || c.pending.logins.order.Len() != 100 {
		t.Errorf("%d logins of %d networks are pending", n, len(c.pending.logins.networks))
	}
	if resp := ann.callback(s, anns); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("ann's callback was answered with %d", resp.StatusCode)
	}
	if n := len(c.pending.logins.networks); n != 1 {
		t.Errorf("%d networks are left", n)
	}
}

func TestPendingLoginsAreBounded(t *testing.T) {
	s := newStandin()
	c := newClient(t, s, func(o *Options) { o.MaxPending = 3 })
	b := newBrowser(t, c)
	oldest := b.login("")
	var newest url.Values
	for range 3 {
		newest = b.login("")
	}
	if n := c.pending.logins.len(); n != 3 {
		t.Errorf("%d logins are pending", n)
	}
	if resp := b.callback(s, oldest); resp.StatusCode != http.StatusBadRequest {
		t.Error("the oldest login is still there")
	}
	if resp := b.callback(s, newest); resp.StatusCode != http.StatusSeeOther {
		t.Error(resp.StatusCode)
	}
}

func TestMethodsAreChecked(t *testing.T) {
	s := newStandin()
	c := newClient(t, s, nil)
	b := newBrowser(t, c)
	q := b.login("")
	if resp := b.do(b.request(http.MethodHead, "/oauth/callback?code=c&state="+q.Get("state"), nil)); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Error("HEAD callback:", resp.StatusCode)
	}
	if resp := b.callback(s, q); resp.StatusCode != http.StatusSeeOther {
		t.Error("HEAD used the login up")
	}
	for _, target := range []string{"/oauth/logout", "/oauth/backchannel-logout"} {
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, b.request(http.MethodGet, target, nil))
		if w.Code != http.StatusMethodNotAllowed {
			t.Error("GET", target, w.Code)
		}
	}
}
