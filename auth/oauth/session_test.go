package oauth

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// logouts records the calls of OnLogout.
type logouts struct {
	mu   sync.Mutex
	list []string
}

func (l *logouts) record(credential, user string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, user+" "+credential)
	return nil
}

func (l *logouts) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	slices.Sort(list)
	return list
}

func (b *browser) principal() *auth.Principal {
	b.t.Helper()
	p, ok := b.client.Session(b.request(http.MethodGet, "/", nil))
	if !ok {
		b.t.Fatal("nobody is signed in")
	}
	return p
}

func TestSessionOfALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		b := newBrowser(t, newClient(t, s, nil))
		resp := b.signIn(s)
		c := resp.Cookies()[0]
		if c.Name != "__Host-hoofbeat" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 12*3600 || len(c.Value) != 43 {
			t.Error(c)
		}
		p := b.principal()
		if p.Name != "alice" || !strings.HasPrefix(p.CredentialID, "oidc:") || len(p.CredentialID) != 5+32 || !p.Issued.Equal(time.Now()) || !p.Expires.Equal(time.Now().Add(2*time.Hour)) || !slices.Equal(p.Scopes, []string{"openid", "offline_access"}) {
			t.Errorf("%+v", p)
		}
		if strings.Contains(c.Value, p.CredentialID[5:]) {
			t.Error("the credential id is made from the cookie")
		}
	})
}

func TestSessionEndsIdleAndAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		b := newBrowser(t, newClient(t, s, nil))
		b.signIn(s)
		for range 11 { // 11 hours
			time.Sleep(time.Hour)
			if b.signedIn() == "" {
				t.Fatal("ended while in use")
			}
		}
		if p := b.principal(); time.Until(p.Expires) != time.Hour {
			t.Error("the principal outlives the session:", p.Expires)
		}
		time.Sleep(time.Hour - time.Second)
		if b.signedIn() == "" {
			t.Error("ended a second early")
		}
		time.Sleep(time.Second)
		if b.signedIn() != "" {
			t.Error("in use after 12 hours")
		}
		b.signIn(s)
		time.Sleep(2 * time.Hour)
		if b.signedIn() != "" {
			t.Error("in use after 2 hours without use")
		}
	})
}

func TestSessionFixationIsImpossible(t *testing.T) {
	s := newStandin()
	var ended logouts
	c := newClient(t, s, func(o *Options) { o.OnLogout = ended.record })
	attacker := newBrowser(t, c)
	s.claims = map[string]any{"sub": "mallory"}
	attacker.signIn(s)
	mallory := attacker.principal().CredentialID
	s.claims = nil

	victim := newBrowser(t, c)
	for _, planted := range []string{attacker.sessionCookie(), newSecret()} {
		victim.cookies[c.cookies.session.Name] = planted
		victim.signIn(s)
		if victim.sessionCookie() == planted {
			t.Error("the planted cookie is in use")
		}
		victim.cookies[c.cookies.session.Name] = planted
		if user := victim.signedIn(); user != "" {
			t.Errorf("the planted cookie signs in %s", user)
		}
	}
	if list := ended.take(); len(list) != 1 || list[0] != "mallory "+mallory {
		t.Error(list)
	}
}

func TestSigningInAgainEndsTheOldSession(t *testing.T) {
	s := newStandin()
	var ended logouts
	c, b := signedIn(t, s, func(o *Options) { o.OnLogout = ended.record })
	old, cookie := b.principal(), b.sessionCookie()
	b.signIn(s)
	if b.principal().CredentialID == old.CredentialID || b.sessionCookie() == cookie {
		t.Error("something of the old session lives on")
	}
	if list := ended.take(); len(list) != 1 || list[0] != "alice "+old.CredentialID {
		t.Error(list)
	}
	if _, err := c.Token(t.Context(), "alice", "idp"); err != nil || len(s.revocations()) != 0 {
		t.Error("the tokens are gone:", err)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	s := newStandin()
	var ended logouts
	c := newClient(t, s, func(o *Options) { o.MaxSessionsPerUser, o.MaxSessions, o.OnLogout = 2, 3, ended.record })
	var first *auth.Principal
	for i := range 3 {
		b := newBrowser(t, c)
		b.signIn(s)
		if i == 0 {
			first = b.principal()
		}
	}
	if list := ended.take(); len(list) != 1 || list[0] != "alice "+first.CredentialID || len(c.sessions.byID) != 2 {
		t.Error(list, len(c.sessions.byID))
	}
	for i, want := range []int{http.StatusSeeOther, http.StatusServiceUnavailable} {
		s.claims = map[string]any{"sub": fmt.Sprint("user", i)}
		b := newBrowser(t, c)
		if resp := b.callback(s, b.login("")); resp.StatusCode != want {
			t.Error(i, resp.StatusCode)
		}
	}
}

func TestDeadSessionsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		c := newClient(t, s, func(o *Options) { o.MaxSessions = 2 })
		for i := range 6 {
			s.claims = map[string]any{"sub": fmt.Sprint("user", i)}
			newBrowser(t, c).signIn(s)
			time.Sleep(90 * time.Minute)
		}
		if len(c.sessions.byID) > 2 || len(c.sessions.byUser) != len(c.sessions.byID) {
			t.Error(len(c.sessions.byID), len(c.sessions.byUser))
		}
	})
}

func TestA14Logout(t *testing.T) {
	s := newStandin()
	var ended logouts
	c, b := signedIn(t, s, func(o *Options) { o.OnLogout = ended.record })
	credential, cookie := b.principal().CredentialID, b.sessionCookie()
	resp := b.post("/oauth/logout", url.Values{"return_to": {"/bye"}})
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/bye" || b.sessionCookie() != "" {
		t.Error(resp.StatusCode, resp.Header)
	}
	if c := resp.Cookies()[0]; c.Name != "__Host-hoofbeat" || c.MaxAge >= 0 || !c.Secure || c.Path != "/" {
		t.Error(c) // a browser ignores a __Host- cookie without Secure, even to delete it
	}
	if list := ended.take(); len(list) != 1 || list[0] != "alice "+credential {
		t.Error(list)
	}
	b.cookies["__Host-hoofbeat"] = cookie
	if b.signedIn() != "" {
		t.Error("the cookie is still good")
	}
	r := s.revocations()
	if len(r) != 2 || r[0].Get("token") != "refresh-001" || r[0].Get("token_type_hint") != "refresh_token" || r[1].Get("token") != "access-001" || r[1].Get("token_type_hint") != "access_token" {
		t.Error(r)
	}
	if _, err := c.Token(t.Context(), "alice", "idp"); !errors.Is(err, ErrNoToken) {
		t.Error(err)
	}
	if b.post("/oauth/logout", nil); len(ended.take()) != 0 || len(s.revocations()) != 2 {
		t.Error("a session ended twice")
	}
}

func TestA14LogoutDoesNotDependOnTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		var log bytes.Buffer
		c, b := signedIn(t, s, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		s.revokeReply = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		start := time.Now()
		if resp := b.post("/oauth/logout", nil); resp.StatusCode != http.StatusSeeOther || b.sessionCookie() != "" {
			t.Error(resp.StatusCode)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Error("it took", took)
		}
		if _, err := c.Token(t.Context(), "alice", "idp"); !errors.Is(err, ErrNoToken) {
			t.Error(err)
		}
		if !strings.Contains(log.String(), "revocation failed") || strings.Contains(log.String(), "-001") {
			t.Error(log.String())
		}
	})
}

func TestA14LastSessionTakesTheTokensAlong(t *testing.T) {
	s := newStandin()
	c, phone := signedIn(t, s, nil)
	laptop := newBrowser(t, c)
	laptop.signIn(s)
	phone.post("/oauth/logout", nil)
	if _, err := c.Token(t.Context(), "alice", "idp"); err != nil || len(s.revocations()) != 0 || laptop.signedIn() != "alice" {
		t.Error("the laptop lost its tokens:", err)
	}
	laptop.post("/oauth/logout", nil)
	if _, err := c.Token(t.Context(), "alice", "idp"); !errors.Is(err, ErrNoToken) || len(s.revocations()) != 2 {
		t.Error(err)
	}
}

func TestA14LogoutEverywhere(t *testing.T) {
	for name, logout := range map[string]func(*testing.T, *Client, *browser) error{
		"form": func(_ *testing.T, _ *Client, b *browser) error {
			b.post("/oauth/logout", url.Values{"all": {"true"}})
			return nil
		},
		"LogoutUser": func(t *testing.T, c *Client, _ *browser) error { return c.LogoutUser(t.Context(), "alice") },
		"Disconnect": func(t *testing.T, c *Client, _ *browser) error { return c.Disconnect(t.Context(), "alice", "idp") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStandin()
			var ended logouts
			c, b := signedIn(t, s, func(o *Options) { o.OnLogout = ended.record })
			other := newBrowser(t, c)
			other.signIn(s)
			if err := logout(t, c, b); err != nil {
				t.Error(err)
			}
			if list := ended.take(); len(list) != 2 || b.signedIn() != "" || other.signedIn() != "" {
				t.Error(list)
			}
			if _, err := c.Token(t.Context(), "alice", "idp"); !errors.Is(err, ErrNoToken) || len(s.revocations()) != 2 {
				t.Error(err, s.revocations())
			}
		})
	}
	c := newClient(t, newStandin(), nil)
	if err := c.Disconnect(t.Context(), "alice", "other"); !errors.Is(err, ErrUnknownProvider) {
		t.Error(err)
	}
}

func TestLogoutIsForThisSiteOnly(t *testing.T) {
	s := newStandin()
	_, b := signedIn(t, s, nil)
	for name, header := range map[string][2]string{
		"another origin":   {"Origin", "https://evil.example"},
		"another port":     {"Origin", "https://app.example:444"},
		"a sandboxed page": {"Origin", "null"},
		"Sec-Fetch-Site":   {"Sec-Fetch-Site", "cross-site"},
		"a sibling domain": {"Sec-Fetch-Site", "same-site"},
	} {
		r := b.request(http.MethodPost, "/oauth/logout", nil)
		r.Header.Del("Origin")
		r.Header.Set(header[0], header[1])
		if resp := b.do(r); resp.StatusCode != http.StatusForbidden || b.signedIn() == "" {
			t.Error(name, resp.StatusCode)
		}
	}
	for name, form := range map[string]url.Values{"foreign": {"return_to": {"https://evil.example"}}, "too long": {"x": {strings.Repeat("x", maxLogoutForm)}}} {
		if resp := b.post("/oauth/logout", form); resp.StatusCode != http.StatusBadRequest || b.signedIn() == "" {
			t.Error(name, resp.StatusCode)
		}
	}
}

func TestAuthenticateAtTheHandshake(t *testing.T) {
	s := newStandin()
	c, b := signedIn(t, s, nil)
	cookie := "__Host-hoofbeat=" + b.sessionCookie()
	const here = "https://app.example"
	for name, x := range map[string]struct {
		stage          auth.Stage
		cookie, origin string
		ticket, bearer string
		want           error // nil: let in
		status         int
	}{
		"good":                         {auth.StageHandshake, cookie, here, "", "", nil, 0},
		"among other cookies":          {auth.StageHandshake, "a=b; " + cookie + "; c=d", here, "", "", nil, 0},
		"no cookie":                    {auth.StageHandshake, "a=b", here, "", "", auth.ErrNotMine, 0},
		"no Origin":                    {auth.StageHandshake, cookie, "", "", "", &auth.Refusal{}, http.StatusForbidden},
		"Origin of a sandboxed page":   {auth.StageHandshake, cookie, "null", "", "", &auth.Refusal{}, http.StatusForbidden},
		"unknown cookie":               {auth.StageHandshake, "__Host-hoofbeat=" + newSecret(), here, "", "", &auth.Refusal{}, http.StatusUnauthorized},
		"malformed cookie":             {auth.StageHandshake, "__Host-hoofbeat=x", here, "", "", &auth.Refusal{}, http.StatusUnauthorized},
		"two cookies":                  {auth.StageHandshake, cookie + "; " + cookie, here, "", "", &auth.Refusal{}, http.StatusUnauthorized},
		"a ticket goes first":          {auth.StageHandshake, cookie, here, "t", "", auth.ErrNotMine, 0},
		"a bearer token goes first":    {auth.StageHandshake, cookie, "", "", "t", auth.ErrNotMine, 0},
		"CONNECT is none of its tasks": {auth.StageConnect, cookie, here, "", "", auth.ErrNotMine, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{"Cookie": {x.cookie}}
			if x.origin != "" {
				h.Set("Origin", x.origin)
			}
			p, err := c.Authenticate(t.Context(), &auth.Attempt{Stage: x.stage, Ticket: x.ticket, Bearer: x.bearer, Header: h.Get, Handshake: &auth.Handshake{Header: h}})
			refusal, refused := errors.AsType[*auth.Refusal](err)
			switch {
			case x.want == nil:
				if err != nil || p.Name != "alice" || p.CredentialID != b.principal().CredentialID {
					t.Error(p, err)
				}
			case x.status != 0:
				if !refused || refusal.StatusCode() != x.status || p != nil {
					t.Error(p, err)
				}
			default:
				if !errors.Is(err, x.want) || p != nil {
					t.Error(p, err)
				}
			}
		})
	}
	if _, err := c.Authenticate(t.Context(), &auth.Attempt{Stage: auth.StageHandshake}); !errors.Is(err, auth.ErrNotMine) {
		t.Error("without a handshake:", err)
	}
	// The GET of a same-origin EventSource has no Origin, but the browser says
	// where it comes from.
	for _, x := range []struct {
		origin, site []string
		good         bool
	}{
		{nil, []string{"same-origin"}, true},
		{nil, []string{"same-site"}, false},
		{nil, []string{"cross-site"}, false},
		{nil, []string{"none"}, false},
		{nil, []string{""}, false},
		{nil, []string{"same-origin", "cross-site"}, false},
		{[]string{"null"}, []string{"same-origin"}, false},
		{[]string{""}, []string{"same-origin"}, false},
	} {
		h := http.Header{"Cookie": {cookie}, "Origin": x.origin, "Sec-Fetch-Site": x.site}
		p, err := c.Authenticate(t.Context(), &auth.Attempt{Stage: auth.StageHandshake, Header: h.Get, Handshake: &auth.Handshake{Header: h}})
		if x.good != (err == nil) || x.good != (p != nil) {
			t.Errorf("Origin %q, Sec-Fetch-Site %q: %v, %v", x.origin, x.site, p, err)
		}
	}
}

func TestSessionsUnderLoad(t *testing.T) {
	s := newStandin()
	c := newClient(t, s, func(o *Options) { o.MaxSessionsPerUser = 4 })
	table := c.sessions
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 200 {
				user := fmt.Sprint("user", n%3)
				one := &session{id: digestOf(newSecret()), user: user, provider: "idp", sid: fmt.Sprint(i), credential: newCredentialID()}
				if _, err := table.add(one, time.Now()); err != nil && !errors.Is(err, errLoggedOut) {
					t.Error(err)
				}
				table.use(one.id)
				switch n % 4 {
				case 0:
					table.end(one.id)
				case 1:
					table.endUser(user, "idp")
				case 2:
					table.endAt("idp", fmt.Sprint("other", i), "", time.Now())
				}
				table.has(user, "idp")
			}
		})
	}
	testkit.Wait(t, &wg)
	var listed int
	for user, list := range table.byUser {
		if listed += len(list); len(list) == 0 || len(list) > 4 {
			t.Error(user, len(list))
		}
	}
	if listed != len(table.byID) {
		t.Errorf("%d sessions by user, %d by id", listed, len(table.byID))
	}
}

func TestA14RevocationClosesSocketsAndLetsTheNextLoginIn(t *testing.T) {
	s := newStandin()
	store := auth.NewRevocations()
	var closed []auth.Revocation
	defer store.Watch(func(e auth.Event) { closed = append(closed, e.Revocation) })()
	_, b := signedIn(t, s, func(o *Options) {
		o.OnLogout = func(credentialID, _ string) error {
			return store.Revoke(t.Context(), auth.Revocation{Credential: credentialID, Until: time.Now().Add(12 * time.Hour)})
		}
	})
	old := b.principal()
	b.post("/oauth/logout", nil) // here only: the session at the provider, and so the sid, stays
	if len(closed) != 1 || closed[0].Credential != old.CredentialID || !store.Revoked(old) {
		t.Error(closed)
	}
	if b.signIn(s); store.Revoked(b.principal()) {
		t.Error("the same sid is refused for ever")
	}
}
