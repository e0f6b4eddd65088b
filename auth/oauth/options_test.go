package oauth

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestNewNamesTheBadField(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"Options.Providers: is empty":          func(o *Options) { o.Providers = nil },
		"Providers[0].Name":                    func(o *Options) { o.Providers[0].Name = "A" },
		"Providers[0].ClientID":                func(o *Options) { o.Providers[0].ClientID = "" },
		"Providers[0].ClientSecret: is empty":  func(o *Options) { o.Providers[0].ClientSecret = "" },
		"Providers[0].ClientSecret: is given":  func(o *Options) { o.Providers[0].AuthStyle = AuthNone },
		"Providers[0].AuthStyle":               func(o *Options) { o.Providers[0].AuthStyle = 9 },
		"Providers[0].Issuer: is empty":        func(o *Options) { o.Providers[0].Issuer = "" },
		"Providers[0].Issuer: is neither":      func(o *Options) { o.Providers[0].Issuer = "http://idp.example" },
		"Providers[0].TokenURL: is not":        func(o *Options) { o.Providers[0].TokenURL = "/token" },
		"Providers[0].RedirectURL: is neither": func(o *Options) { o.Providers[0].RedirectURL = "http://app.example/cb" },
		"Providers[0].RedirectURL: is not":     func(o *Options) { o.Providers[0].RedirectURL = "https://app.example/cb#x" },
		"Providers[0].JWKSURL":                 func(o *Options) { o.Providers[0].AuthURL, o.Providers[0].TokenURL = issuer, issuer },
		"Providers[0].UserInfoURL": func(o *Options) {
			o.Providers[0].AuthURL, o.Providers[0].TokenURL, o.Providers[0].Scopes = issuer, issuer, nil
		},
		"Providers[0].AuthParams: must not set state": func(o *Options) { o.Providers[0].AuthParams = map[string]string{"state": "x"} },
		"Providers[1].Name: idp is taken":             func(o *Options) { o.Providers = append(o.Providers, o.Providers[0]) },
		"Providers[1].UserPrefix: it and that of idp": func(o *Options) {
			o.Providers = append(o.Providers, o.Providers[0])
			o.Providers[1].Name, o.Providers[1].UserPrefix = "second", "2:" // and the first one's 2:alice?
		},
		"Providers[1].RedirectURL: is of another origin": func(o *Options) {
			o.Providers = append(o.Providers, o.Providers[0])
			o.SharedNames = true
			o.Providers[1].Name, o.Providers[1].UserPrefix, o.Providers[1].RedirectURL = "second", "x", "https://other.example/oauth/callback"
		},
		"Providers[1].RedirectURL: must end in a path segment of its own, because the provider second has no issuer": func(o *Options) {
			o.Providers[0].UserPrefix = "idp:"
			o.Providers = append(o.Providers, Provider{
				Name: "second", UserPrefix: "x", AuthURL: issuer, TokenURL: issuer, UserInfoURL: issuer, ClientID: "x",
				AuthStyle: AuthNone, RedirectURL: "https://app.example/a/callback",
			})
		},
		`Providers[0].Algorithms: has "HS256"`: func(o *Options) { o.Providers[0].Algorithms = []string{"ES256", "HS256"} },
		"Options.SessionTTL":                   func(o *Options) { o.SessionTTL = time.Millisecond },
		"Options.MaxSessions: ":                func(o *Options) { o.MaxSessions = -1 },
		"Options.MaxSessionsPerUser":           func(o *Options) { o.MaxSessionsPerUser = -1 },
		"Options.MaxPending":                   func(o *Options) { o.MaxPending = -1 },
		"Options.Cookie: ":                     func(o *Options) { o.Cookie = "a b" },
		"Options.CookiePath":                   func(o *Options) { o.CookiePath = "app" },
		"Options.AfterLogin: ":                 func(o *Options) { o.AfterLogin = "//evil.example" },
		"Options.AfterLogout":                  func(o *Options) { o.AfterLogout = "https://app.example/" },
	} {
		o := Options{Providers: []Provider{oidcProvider()}}
		change(&o)
		c, err := New(o)
		if c != nil || err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestCookieOfAPathOfItsOwn(t *testing.T) {
	s := newStandin()
	b := newBrowser(t, newClient(t, s, func(o *Options) { o.Cookie, o.CookiePath, o.SessionIdle = "id", "/app", -1 }))
	c := b.signIn(s).Cookies()[0]
	if c.Name != "__Secure-id" || c.Path != "/app" || !c.Secure {
		t.Error(c)
	}
	if p := b.principal(); time.Until(p.Expires) < 11*time.Hour {
		t.Error("an idle limit that is off:", p.Expires)
	}
}

func TestAgingIsBounded(t *testing.T) {
	a := newAging[int, int](time.Minute, 3)
	now := time.Now()
	for i := range 100 {
		a.put(i, i, now)
		a.remove(i - 1)
	}
	if a.len() != 1 || a.order.Len() != 1 {
		t.Error(a.len(), a.order.Len())
	}
	for i := range 100 {
		a.put(i, i, now)
	}
	if _, ok := a.get(96, now); ok || a.len() != 3 || a.order.Len() != 3 {
		t.Error(a.len(), a.order.Len())
	}
	if v, ok := a.get(97, now.Add(time.Minute-1)); v != 97 || !ok {
		t.Error(v, ok)
	}
	if _, ok := a.get(97, now.Add(time.Minute)); ok {
		t.Error("too old")
	}
	a.put(1, 1, now.Add(time.Minute))
	if a.len() != 1 {
		t.Error("what is too old takes up room")
	}
}

func TestNameSpaces(t *testing.T) {
	o := Options{Providers: []Provider{{
		Name: "idp", Issuer: "https://idp.example", ClientID: "x", ClientSecret: "y", Scopes: []string{"openid"},
		RedirectURL: "https://app.example/oauth/callback", UserPrefix: "idp:",
	}}}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.NameSpaces(); len(got) != 1 || got[0].Issuer != "https://idp.example" || got[0].Claim != "sub" || got[0].Prefix != "idp:" {
		t.Errorf("%+v", got)
	}
	o.LocalUser = func(*http.Request) string { return "" }
	if c, err = New(o); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.NameSpaces(); got != nil {
		t.Errorf("the program's users are the provider's: %+v", got)
	}
}
