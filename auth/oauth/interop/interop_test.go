package interop

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/auth/oauth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is the program that signs users in, with one browser before it.
type site struct {
	*httptest.Server
	provider *server
	client   *oauth.Client
	browser  *http.Client
	mu       sync.Mutex
	ended    []string // users whose sessions have ended
	lapsed   []string
}

func newSite(t *testing.T, accessToken time.Duration, change func(*oauth.Provider)) *site {
	t.Helper()
	mux := http.NewServeMux()
	s := &site{Server: httptest.NewServer(mux)}
	t.Cleanup(s.Close)
	s.provider = newServer(t, s.URL+"/oauth/callback", accessToken)

	p := oauth.Provider{
		Name: "fosite", Issuer: s.provider.URL, ClientID: clientID, ClientSecret: clientSecret,
		Scopes: []string{"openid", "offline_access", "read"}, RedirectURL: s.URL + "/oauth/callback", RolesClaim: "roles",
	}
	if change != nil {
		change(&p)
	}
	store, err := oauth.OpenFileStore(filepath.Join(t.TempDir(), "tokens"), make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	s.client, err = oauth.New(oauth.Options{
		Providers: []oauth.Provider{p}, Store: store, Transport: transport, AfterLogin: "/me",
		OnLogout: func(_, user string) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.ended = append(s.ended, user)
			return nil
		},
		OnReconsent: func(user, _ string) { s.mu.Lock(); defer s.mu.Unlock(); s.lapsed = append(s.lapsed, user) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	mux.Handle("/oauth/", s.client.Handler())
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		p, ok := s.client.Session(r)
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, p.Name+" "+strings.Join(p.Roles, ","))
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.browser = &http.Client{Jar: jar, Transport: transport}
	return s
}

func (s *site) get(t *testing.T, path string) (int, string) {
	t.Helper()
	return read(t)(s.browser.Get(s.URL + path))
}

func read(t *testing.T) func(*http.Response, error) (int, string) {
	return func(resp *http.Response, err error) (int, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
}

func (s *site) signIn(t *testing.T) {
	t.Helper()
	if status, body := s.get(t, "/oauth/login"); status != http.StatusOK || body != "alice ops" {
		t.Fatalf("login: %d %s", status, body)
	}
}

func TestA1ToA14WithFosite(t *testing.T) {
	for name, change := range map[string]func(*oauth.Provider){
		"basic": nil,
		"post":  func(p *oauth.Provider) { p.AuthStyle = oauth.AuthPost },
		"none":  func(p *oauth.Provider) { p.ClientID, p.ClientSecret, p.AuthStyle = publicID, "", oauth.AuthNone },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, time.Hour, change)
			s.signIn(t)
			if status, body := read(t)(s.client.HTTPClient("alice", "fosite").Get(s.provider.URL + "/me")); status != http.StatusOK || body != "{\"username\":\"alice\"}\n" {
				t.Errorf("A-11: %d %s", status, body)
			}
			token, err := s.client.Token(t.Context(), "alice", "fosite")
			if err != nil {
				t.Fatal(err)
			}
			if status, _ := read(t)(s.browser.PostForm(s.URL+"/oauth/logout", url.Values{"return_to": {"/me"}})); status != http.StatusUnauthorized {
				t.Error("A-14: signed in after the logout:", status)
			}
			if _, err := s.provider.introspect(t.Context(), token); err == nil {
				t.Error("A-14: the access token was not revoked")
			}
			if _, err := s.client.Token(t.Context(), "alice", "fosite"); !errors.Is(err, oauth.ErrNoToken) {
				t.Error(err)
			}
			if len(s.ended) != 1 || len(s.provider.store.RefreshTokens) == 0 {
				t.Error(s.ended)
			}
		})
	}
}

func TestA6DeniedAtFosite(t *testing.T) {
	s := newSite(t, time.Hour, nil)
	s.provider.deny.Store(true)
	if status, body := s.get(t, "/oauth/login"); status != http.StatusForbidden || !strings.Contains(body, "Access was denied") {
		t.Error(status, body)
	}
	if s.provider.tokenRequests.Load() != 0 {
		t.Error("a token request was made")
	}
}

// fosite revokes the whole grant when a refresh token is used twice, so that one slip would end in ErrReconsent.
func TestA12RotationAtFosite(t *testing.T) {
	s := newSite(t, 30*time.Second, nil) // always within 60 s of expiry
	s.signIn(t)
	seen := make(map[string]bool)
	for range 3 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		for range 50 {
			wg.Go(func() {
				token, err := s.client.Token(t.Context(), "alice", "fosite")
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				seen[token] = true
			})
		}
		testkit.Wait(t, &wg)
	}
	if n := s.provider.refreshes.Load(); n < 3 || int(n) != len(seen) {
		t.Errorf("%d refreshes, %d tokens", n, len(seen))
	}
	if len(s.lapsed) != 0 {
		t.Error(s.lapsed)
	}
}

func TestA12InvalidTokenAtFosite(t *testing.T) {
	s := newSite(t, time.Hour, nil)
	s.signIn(t)
	s.revokeAccess(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			resp, err := s.client.HTTPClient("alice", "fosite").Get(s.provider.URL + "/me")
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Error(resp.StatusCode)
			}
		})
	}
	testkit.Wait(t, &wg)
	if n := s.provider.refreshes.Load(); n != 1 {
		t.Errorf("%d refreshes", n)
	}

	s.revokeAccess(t)
	for _, id := range requestIDs(s.provider.store.RefreshTokenRequestIDs) {
		if err := s.provider.store.RevokeRefreshToken(context.Background(), id); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.client.HTTPClient("alice", "fosite").Get(s.provider.URL + "/me"); !errors.Is(err, oauth.ErrReconsent) {
		t.Error(err)
	}
	if len(s.lapsed) != 1 || s.lapsed[0] != "alice" {
		t.Error(s.lapsed)
	}
	s.signIn(t)
	if _, err := s.client.Token(t.Context(), "alice", "fosite"); err != nil {
		t.Error("after signing in again:", err)
	}
}

func (s *site) revokeAccess(t *testing.T) {
	t.Helper()
	for _, id := range requestIDs(s.provider.store.AccessTokenRequestIDs) {
		if err := s.provider.store.RevokeAccessToken(context.Background(), id); err != nil {
			t.Fatal(err)
		}
	}
}

func requestIDs(m map[string]string) []string {
	ids := make([]string, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	return ids
}

func TestE14CodeReusedAtFosite(t *testing.T) {
	s := newSite(t, time.Hour, nil)
	var code string
	s.browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/oauth/callback" {
			code = r.URL.Query().Get("code")
		}
		return nil
	}
	s.signIn(t)
	// A second login, whose callback is given the first one's code.
	s.browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/oauth/callback" {
			q := r.URL.Query()
			q.Set("code", code)
			r.URL.RawQuery = q.Encode()
		}
		return nil
	}
	if status, _ := s.get(t, "/oauth/login"); status != http.StatusBadRequest {
		t.Error(status)
	}
}

func TestBackchannelLogoutWithFositesKeys(t *testing.T) {
	s := newSite(t, time.Hour, nil)
	s.signIn(t)
	for _, one := range []struct {
		audience             string
		logout, me, sessions int
	}{
		{"other", http.StatusBadRequest, http.StatusOK, 0},
		{clientID, http.StatusOK, http.StatusUnauthorized, 1},
	} {
		outside := &http.Client{Transport: s.browser.Transport} // the provider has no cookies of ours
		status, _ := read(t)(outside.PostForm(s.URL+"/oauth/backchannel-logout", url.Values{"logout_token": {s.provider.logoutToken(t, one.audience)}}))
		if me, _ := s.get(t, "/me"); status != one.logout || me != one.me || len(s.ended) != one.sessions {
			t.Errorf("%s: %d, then %d with %v ended", one.audience, status, me, s.ended)
		}
	}
}
