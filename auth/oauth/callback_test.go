package oauth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
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
	wg.Wait()
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

func TestE14ReusedCodeIsRefusedByTheProvider(t *testing.T) {
	s := newStandin()
	s.tokenReply = refuse("invalid_grant")
	b := newBrowser(t, newClient(t, s, nil))
	if resp := b.callback(s, b.login("")); resp.StatusCode != http.StatusBadRequest || b.sessionCookie() != "" {
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
			// The user chose evil, which sent the browser on to the honest provider, which sends it back with a code.
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

func TestA7Exchange(t *testing.T) {
	for style, check := range map[AuthStyle]func(r *http.Request) bool{
		AuthBasic: func(r *http.Request) bool {
			user, pass, _ := r.BasicAuth()
			return user == url.QueryEscape(clientID) && pass == url.QueryEscape(secret) && !r.PostForm.Has("client_secret")
		},
		AuthPost: func(r *http.Request) bool {
			return r.Header.Get("Authorization") == "" && r.PostForm.Get("client_secret") == secret
		},
		AuthNone: func(r *http.Request) bool {
			return r.Header.Get("Authorization") == "" && !r.PostForm.Has("client_secret")
		},
	} {
		t.Run(style.String(), func(t *testing.T) {
			s := newStandin()
			b := newBrowser(t, newClient(t, s, func(o *Options) {
				if o.Providers[0].AuthStyle = style; style == AuthNone {
					o.Providers[0].ClientSecret = ""
				}
			}))
			q := b.login("")
			if resp := b.callback(s, q); resp.StatusCode != http.StatusSeeOther {
				t.Fatal(resp.StatusCode)
			}
			r := s.tokenRequests()[0]
			f := r.PostForm
			if r.Method != http.MethodPost || r.URL.String() != issuer+"/token" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.Header.Get("Accept") != "application/json" {
				t.Error(r.Method, r.URL, r.Header)
			}
			challenge := sha256.Sum256([]byte(f.Get("code_verifier")))
			if base64.RawURLEncoding.EncodeToString(challenge[:]) != q.Get("code_challenge") {
				t.Error("code_verifier does not fit code_challenge")
			}
			if !check(r) {
				t.Error("client authentication:", f, r.Header)
			}
			f.Del("code_verifier")
			f.Del("client_secret")
			want := url.Values{"grant_type": {"authorization_code"}, "code": {"code-1"}, "redirect_uri": {"https://app.example/oauth/callback"}, "client_id": {clientID}}
			if f.Encode() != want.Encode() {
				t.Error(f)
			}
		})
	}
}

func TestA7ExchangeIsBounded(t *testing.T) {
	for name, reply := range map[string]func(http.ResponseWriter, *http.Request){
		"silence": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"over 1 MiB": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"access_token":"a","x":"`+strings.Repeat("x", 1<<20)+`"}`)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/token", http.StatusTemporaryRedirect)
		},
		"no JSON":  func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "access_token=abc") },
		"trailing": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"access_token":"a"}{}`) },
		"error as ok": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"access_token":"a","error":"invalid_client"}`)
		},
		"500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStandin()
				s.tokenReply = reply
				b := newBrowser(t, newClient(t, s, nil))
				q, start := b.login(""), time.Now()
				if resp := b.callback(s, q); resp.StatusCode != http.StatusBadGateway || b.sessionCookie() != "" {
					t.Error(resp.StatusCode)
				}
				if n := len(s.tokenRequests()); n != 1 {
					t.Errorf("%d token requests", n)
				}
				if took := time.Since(start); took > 5*time.Second || name == "silence" && took != 5*time.Second {
					t.Error("it took", took)
				}
			})
		})
	}
}

func TestA7NothingGoesOverTheNetworkInClear(t *testing.T) {
	_, err := providerClient(direct{newStandin()}).Get("http://idp.example/token")
	if !errors.Is(err, errNotSecure) {
		t.Error(err)
	}
	for address, want := range map[string]bool{
		"https://x": true, "http://x": false, "http://localhost:1": true, "http://127.9.9.9": true, "http://[::1]:80": true,
		"http://127.0.0.1.evil.example": false, "http://localhost.evil.example": false, "ftp://localhost": false, "http://user@localhost": false,
		"//localhost": false, "https://": false, "": false, "http://10.0.0.1": false,
	} {
		if _, err := secureURL(address); (err == nil) != want {
			t.Errorf("%q: %v", address, err)
		}
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

func TestRepliesOfOneMebibyteAreTheLongest(t *testing.T) {
	for size, want := range map[int]error{1 << 20: nil, 1<<20 + 1: errReplyTooLarge} {
		client := providerClient(direct{http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, strings.Repeat("x", size))
		})})
		resp, err := client.Get(issuer)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); !errors.Is(err, want) || len(body) > 1<<20 {
			t.Error(size, len(body), err)
		}
	}
}

// brokenStore cannot keep anything.
type brokenStore struct{ *MemoryStore }

var errDisk = errors.New("disk full")

func (brokenStore) Update(context.Context, Key, func(*Token) *Token) error { return errDisk }

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
