package idp

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/auth/users"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

const (
	issuer   = "http://idp.test"
	callback = "http://app.test/oauth/callback"
	verifier = "a-code-verifier-of-at-least-forty-three-characters"
)

// broker remembers what it was told.
type broker struct {
	mu       sync.Mutex
	down     bool
	opened   []string
	notified []string // "operation result"
}

var errDown = errors.New("down")

func (b *broker) Open(_ context.Context, o webflow.Operation) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return errDown
	}
	b.opened = append(b.opened, o.ID)
	return nil
}

func (b *broker) Notify(_ context.Context, id, result string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return errDown
	}
	b.notified = append(b.notified, id+" "+result)
	return nil
}

func (b *broker) Tell(context.Context, string, string, []byte) error { return nil }

func (b *broker) Tickets(ticket.HandlerOptions) http.Handler { return http.NotFoundHandler() }

func options(b *broker) Options {
	return Options{
		Issuer: issuer, Broker: b, PasswordCost: users.MinCost, Passwords: map[string]string{"alice": "wonderland", "bob": "builder"},
		Clients: []Client{
			{ID: "app", Secret: "s3cr et%", Name: "App", RedirectURLs: []string{callback}, Scopes: []string{"openid", "readings", "offline_access"}},
			{ID: "other", Secret: "other", Name: "Other", RedirectURLs: []string{"http://other.test/cb?tenant=1"}},
			{ID: "local", Secret: "local", Name: "Local", RedirectURLs: []string{"http://127.0.0.1:8094/cb"}},
			{ID: "api", Secret: "api", Name: "API", Introspects: true},
		},
	}
}

func newServer(t *testing.T, b *broker) *Server {
	t.Helper()
	s, err := New(options(b))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// browser keeps cookies and follows nothing.
type browser struct {
	t       *testing.T
	s       *Server
	cookies map[string]string
}

func newBrowser(t *testing.T, s *Server) *browser {
	return &browser{t, s, make(map[string]string)}
}

func (b *browser) do(method, target string, form url.Values) *http.Response {
	b.t.Helper()
	r := httptest.NewRequest(method, issuer, strings.NewReader(form.Encode()))
	path, query, _ := strings.Cut(target, "?")
	r.URL = &url.URL{Path: path, RawQuery: query} // as it stands, malformed or not
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.s.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return w.Result()
}

func (b *browser) get(target string) *http.Response { b.t.Helper(); return b.do("GET", target, nil) }

func (b *browser) expect(resp *http.Response, status int, location string) *url.URL {
	b.t.Helper()
	got := resp.Header.Get("Location")
	if resp.StatusCode != status || !strings.HasPrefix(got, location) || location == "" && got != "" {
		b.t.Fatalf("%d to %q, want %d to %q", resp.StatusCode, got, status, location)
	}
	u, err := url.Parse(got)
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// request is a good authorization request with changes; "" removes.
func authorizationRequest(change map[string]string) string {
	q := url.Values{
		"client_id": {"app"}, "redirect_uri": {callback}, "response_type": {"code"}, "state": {"st"}, "nonce": {"no"},
		"scope": {"openid readings offline_access"}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}
	for name, value := range change {
		if q.Set(name, value); value == "" {
			q.Del(name)
		}
	}
	return "/authorize?" + q.Encode()
}

// signIn gives name and password and returns the waiting page's id and number.
func (b *browser) signIn(request string) (id, number string) {
	b.t.Helper()
	b.expect(b.get(request), http.StatusFound, "/login?to=")
	_, to, _ := strings.Cut(request, "?")
	resp := b.do("POST", "/login", url.Values{"to": {to}, "user": {"alice"}, "password": {"wonderland"}})
	b.expect(resp, http.StatusSeeOther, request)
	return b.waiting(request)
}

var (
	idOf     = regexp.MustCompile(`data-id="([0-9a-f]{128})"`)
	numberOf = regexp.MustCompile(`Number </span>(\d\d)<`)
)

func (b *browser) waiting(request string) (id, number string) {
	b.t.Helper()
	page := body(b.t, b.get(request))
	i, n := idOf.FindStringSubmatch(page), numberOf.FindStringSubmatch(page)
	if i == nil || n == nil {
		b.t.Fatalf("not the waiting page: %s", page)
	}
	return i[1], n[1]
}

// phone answers a request.
func (b *browser) phone(id, answer string) {
	b.t.Helper()
	device := newBrowser(b.t, b.s)
	device.get("/device")
	device.expect(device.do("POST", "/device/"+answer, url.Values{"id": {id}}), http.StatusSeeOther, "/device")
}

// code signs in, approves, allows, and returns the code.
func (b *browser) code(request string) string {
	b.t.Helper()
	id, _ := b.signIn(request)
	b.phone(id, "approve")
	b.expect(b.do("POST", "/consent", url.Values{"id": {id}, "decision": {"allow"}}), http.StatusSeeOther, request)
	u := b.expect(b.get(request), http.StatusFound, callback)
	return u.Query().Get("code")
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// call makes a back channel request with a client's credentials.
func call(t *testing.T, s *Server, id, secret, path string, form url.Values) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	reply := make(map[string]any)
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &reply); err != nil {
			t.Fatal(err)
		}
	}
	return w.Code, reply
}

func app(t *testing.T, s *Server, path string, form url.Values) (int, map[string]any) {
	t.Helper()
	return call(t, s, "app", "s3cr et%", path, form)
}

func codeForm(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
}

func refreshForm(token any) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.(string)}}
}

func isActive(t *testing.T, s *Server, token any) bool {
	t.Helper()
	return introspected(t, s, token)["active"] == true
}

func introspected(t *testing.T, s *Server, token any) map[string]any {
	t.Helper()
	status, reply := call(t, s, "api", "api", "/introspect", url.Values{"token": {token.(string)}})
	if status != http.StatusOK {
		t.Fatalf("introspection: %d", status)
	}
	return reply
}

// phoneLate answers a request that has ended.
func (b *browser) phoneLate(id string) {
	b.t.Helper()
	device := newBrowser(b.t, b.s)
	device.get("/device")
	device.expect(device.do("POST", "/device/approve", url.Values{"id": {id}}), http.StatusSeeOther, "/device?late")
}

// foreign sends a form from a page of another site.
func foreign(s *Server, path string) int {
	r := httptest.NewRequest("POST", path, nil)
	r.Header.Set("Origin", "http://evil.test")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code
}
