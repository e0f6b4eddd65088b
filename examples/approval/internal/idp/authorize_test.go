package idp

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// what is not valid percent-encoding is answered with 400, and nobody is
// sent anywhere. The first is the example of the document.
func TestA3MalformedQuery(t *testing.T) {
	b := newBrowser(t, newServer(t, new(broker)))
	for _, query := range []string{
		"client_id=app&response_type=code&redirect_uri=http%3A%2F%2Flocalhost%3A1888%myservice%2Foada%2F",
		strings.TrimPrefix(authorizationRequest(nil), "/authorize?") + "&x=%",
		strings.TrimPrefix(authorizationRequest(nil), "/authorize?") + "&x=%4",
		strings.TrimPrefix(authorizationRequest(nil), "/authorize?") + ";y=1",
		strings.TrimPrefix(authorizationRequest(nil), "/authorize?") + "&state=twice",
		strings.TrimPrefix(authorizationRequest(nil), "/authorize?") + "&x=" + strings.Repeat("x", maxQueryBytes),
	} {
		b.expect(b.get("/authorize?"+query), http.StatusBadRequest, "")
	}
}

// with an unknown client or a redirect address that is not registered, byte
// for byte, there is a page and no redirect.
func TestA4NoRedirectForStrangers(t *testing.T) {
	b := newBrowser(t, newServer(t, new(broker)))
	for _, change := range []map[string]string{
		{"client_id": "nobody"}, {"client_id": ""}, {"redirect_uri": ""}, {"redirect_uri": callback + "/"},
		{"redirect_uri": callback + "/sub"}, {"redirect_uri": callback + "?x=1"}, {"redirect_uri": "http://APP.test/oauth/callback"},
		{"redirect_uri": "http://evil.test/"}, {"redirect_uri": "http://other.test/cb?tenant=1"}, // another client's
		{"client_id": "local", "redirect_uri": "http://127.0.0.1:9999/cb"}, // another port, although RFC 8252 permits it for programs
	} {
		resp := b.get(authorizationRequest(change))
		b.expect(resp, http.StatusBadRequest, "")
		if page := body(t, resp); strings.Contains(page, "evil") {
			t.Error("the page repeats what is in the request")
		}
	}
}

// other mistakes go back to the client, with state and iss.
func TestA4ErrorsGoBack(t *testing.T) {
	b := newBrowser(t, newServer(t, new(broker)))
	for _, c := range []struct {
		change map[string]string
		code   string
	}{
		{map[string]string{"response_type": ""}, "invalid_request"},
		{map[string]string{"response_type": "token"}, "unsupported_response_type"},
		{map[string]string{"code_challenge": ""}, "invalid_request"},
		{map[string]string{"code_challenge_method": "plain"}, "invalid_request"},
		{map[string]string{"code_challenge_method": ""}, "invalid_request"},
		{map[string]string{"scope": "openid everything"}, "invalid_scope"},
		{map[string]string{"response_mode": "fragment"}, "invalid_request"},
		{map[string]string{"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"},
		{map[string]string{"request_uri": "http://app.test/request"}, "request_uri_not_supported"},
		{map[string]string{"prompt": "none"}, "login_required"},
	} {
		q := b.expect(b.get(authorizationRequest(c.change)), http.StatusFound, callback+"?").Query()
		if q.Get("error") != c.code || q.Get("state") != "st" || q.Get("iss") != issuer {
			t.Errorf("%v: %v", c.change, q)
		}
	}
	other := map[string]string{"client_id": "other", "redirect_uri": "http://other.test/cb?tenant=1", "scope": "no", "state": ""}
	q := b.expect(b.get(authorizationRequest(other)), http.StatusFound, "http://other.test/cb?").Query()
	if q.Get("tenant") != "1" || q.Get("error") != "invalid_scope" || q.Has("state") {
		t.Errorf("%v", q)
	}
}

// login, phone, consent, and then a code with the state that was sent. Each
// step is needed; none can be left out.
func TestA4Allow(t *testing.T) {
	wire := new(broker)
	s := newServer(t, wire)
	b := newBrowser(t, s)
	request := authorizationRequest(nil)
	id, number := b.signIn(request)
	if again, same := b.waiting(request); again != id || same != number {
		t.Error("a reload began another operation (E-9)")
	}
	b.do("POST", "/consent", url.Values{"id": {id}, "decision": {"allow"}})
	b.waiting(request) // consent before the phone counts for nothing
	device := newBrowser(t, s)
	if page := body(t, device.get("/device")); !strings.Contains(page, ">"+number+"<") {
		t.Error("the phone does not show the number")
	}
	b.phone(id, "approve")
	if page := body(t, b.get(request)); !strings.Contains(page, "Allow access?") {
		t.Fatalf("not the consent page: %s", page)
	}
	b.expect(b.do("POST", "/consent", url.Values{"id": {id}, "decision": {"allow"}}), http.StatusSeeOther, request)
	q := b.expect(b.get(request), http.StatusFound, callback+"?").Query()
	if q.Get("code") == "" || q.Get("state") != "st" || q.Get("iss") != issuer {
		t.Errorf("%v", q)
	}
	if len(wire.opened) != 1 || !slices.Equal(wire.notified, []string{wire.opened[0] + " CONFIRMED"}) {
		t.Errorf("the broker was told %v, %v", wire.opened, wire.notified)
	}
	// The next sign-in takes the password and the phone again, but no consent.
	id, _ = b.signIn(request)
	b.phone(id, "approve")
	b.expect(b.get(request), http.StatusFound, callback+"?")
}

// A-4, E-16: a no on the phone, and a no to the consent.
func TestA4Deny(t *testing.T) {
	wire := new(broker)
	b := newBrowser(t, newServer(t, wire))
	request := authorizationRequest(nil)
	id, _ := b.signIn(request)
	b.phone(id, "deny")
	if len(wire.notified) != 1 || !strings.HasSuffix(wire.notified[0], " CANCELED") {
		t.Errorf("the broker was told %v", wire.notified)
	}
	q := b.expect(b.get(request), http.StatusFound, callback+"?").Query()
	if q.Get("error") != "access_denied" || q.Get("state") != "st" || q.Has("code") {
		t.Errorf("%v", q)
	}
	id, _ = b.signIn(request)
	b.phone(id, "approve")
	b.do("POST", "/consent", url.Values{"id": {id}, "decision": {"deny"}})
	if q = b.expect(b.get(request), http.StatusFound, callback+"?").Query(); q.Get("error") != "access_denied" {
		t.Errorf("%v", q)
	}
}

// A wrong password is no login, and a login leads nowhere but to a good request.
func TestLogin(t *testing.T) {
	b := newBrowser(t, newServer(t, new(broker)))
	_, to, _ := strings.Cut(authorizationRequest(nil), "?")
	for _, form := range []url.Values{
		{"to": {to}, "user": {"alice"}, "password": {"looking-glass"}},
		{"to": {to}, "user": {"nobody"}, "password": {"wonderland"}},
		{"to": {to}, "user": {""}, "password": {""}},
	} {
		b.expect(b.do("POST", "/login", form), http.StatusUnauthorized, "")
	}
	for _, bad := range []string{"", "//evil.test", "https://evil.test", "client_id=nobody"} {
		b.expect(b.do("POST", "/login", url.Values{"to": {bad}, "user": {"alice"}, "password": {"wonderland"}}), http.StatusBadRequest, "")
		b.expect(b.get("/login?to="+url.QueryEscape(bad)), http.StatusBadRequest, "")
	}
	if len(b.cookies) != 0 {
		t.Error("there is a login cookie")
	}
}

// The answer is given once, on the phone and by nobody else, and a second
// browser with the URL of the first has nothing of it.
func TestDecisions(t *testing.T) {
	s := newServer(t, new(broker))
	b := newBrowser(t, s)
	request := authorizationRequest(nil)
	id, _ := b.signIn(request)
	stranger := newBrowser(t, s)
	stranger.expect(stranger.do("POST", "/device/approve", url.Values{"id": {id}}), http.StatusForbidden, "")
	b.phone(id, "deny")
	device := newBrowser(t, s)
	device.get("/device")
	device.expect(device.do("POST", "/device/approve", url.Values{"id": {id}}), http.StatusSeeOther, "/device?late")
	device.expect(device.do("POST", "/device/approve", url.Values{"id": {"unknown"}}), http.StatusSeeOther, "/device?late")
	stranger.expect(stranger.get(request), http.StatusFound, "/login?to=")
	if q := b.expect(b.get(request), http.StatusFound, callback).Query(); q.Get("error") != "access_denied" {
		t.Errorf("%v", q)
	}
}

// A page of another site cannot press the buttons.
func TestCrossSite(t *testing.T) {
	s := newServer(t, new(broker))
	for _, path := range []string{"/login", "/consent", "/device/approve", "/device/deny"} {
		if status := foreign(s, path); status != http.StatusForbidden {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// An operation that nobody answers ends, and the page gets another number to
// wait with.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, new(broker))
		b := newBrowser(t, s)
		request := authorizationRequest(nil)
		id, _ := b.signIn(request)
		time.Sleep(s.o.OperationTTL)
		b.phoneLate(id)
		if next, _ := b.waiting(request); next == id {
			t.Error("the operation did not end")
		}
		time.Sleep(loginTTL)
		b.expect(b.get(request), http.StatusFound, "/login?to=")
	})
}

// A broker that is down does not lose an answer: when it comes back it is told
// what is open, and what was decided meanwhile.
func TestAnnounceAgain(t *testing.T) {
	wire := new(broker)
	s := newServer(t, wire)
	one, other := newBrowser(t, s), newBrowser(t, s)
	request := authorizationRequest(nil)
	first, _ := one.signIn(request)
	other.signIn(request)
	wire.down = true
	one.phone(first, "approve")
	wire.down, wire.opened = false, nil
	if err := s.Announce(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(wire.opened) != 2 || !slices.Equal(wire.notified, []string{s.operations[first].id + " CONFIRMED"}) {
		t.Errorf("the broker was told %v, %v", wire.opened, wire.notified)
	}
	wire.down = true
	if err := s.Announce(context.Background()); err == nil {
		t.Error("no error of a broker that is down")
	}
}

// One user cannot fill the phone, from any number of browsers. An answer makes
// room.
func TestManyTabs(t *testing.T) {
	s := newServer(t, new(broker))
	b := newBrowser(t, s)
	id, _ := b.signIn(authorizationRequest(nil))
	for i := range maxPerUser - 1 {
		b.waiting(authorizationRequest(map[string]string{"state": strings.Repeat("x", i+1)}))
	}
	b.expect(b.get(authorizationRequest(map[string]string{"state": "more"})), http.StatusServiceUnavailable, "")
	other := newBrowser(t, s)
	_, to, _ := strings.Cut(authorizationRequest(nil), "?")
	other.do("POST", "/login", url.Values{"to": {to}, "user": {"alice"}, "password": {"wonderland"}})
	other.expect(other.get(authorizationRequest(nil)), http.StatusServiceUnavailable, "")
	other.do("POST", "/login", url.Values{"to": {to}, "user": {"bob"}, "password": {"builder"}})
	other.waiting(authorizationRequest(nil))
	b.phone(id, "deny")
	b.waiting(authorizationRequest(map[string]string{"state": "more"}))
}

// No two requests on the phone show the same number. Otherwise a user could
// approve somebody else's.
func TestNumbers(t *testing.T) {
	s := newServer(t, new(broker))
	next := func(i int) (*operation, error) {
		return s.operationFor(t.Context(), &login{user: fmt.Sprint("user", i)}, &request{client: s.clients["app"]})
	}
	seen := make(map[string]bool)
	var first *operation
	for i := range 90 {
		op, err := next(i)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = op
		}
		if seen[op.number] {
			t.Fatalf("%s is shown twice", op.number)
		}
		seen[op.number] = true
	}
	if _, err := next(90); err != errTooMany {
		t.Errorf("with all numbers taken: %v", err)
	}
	if err := s.decide(t.Context(), first.page, denied); err != nil {
		t.Fatal(err)
	}
	if op, err := next(91); err != nil || op.number != first.number {
		t.Errorf("the only free number is %s: %v, %v", first.number, op, err)
	}
}

type authenticator func(*auth.Attempt) (*auth.Principal, error)

func (f authenticator) Authenticate(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
	return f(a)
}

// If passwords cannot be checked now, the page does not call them wrong. The
// address is passed on, because the check is shared fairly among networks.
func TestBusyLogin(t *testing.T) {
	s := newServer(t, new(broker))
	var from string
	s.users = authenticator(func(a *auth.Attempt) (*auth.Principal, error) {
		from = a.Remote.Addr().String()
		return nil, &auth.Refusal{Status: http.StatusServiceUnavailable, Reason: "too many"}
	})
	b := newBrowser(t, s)
	_, to, _ := strings.Cut(authorizationRequest(nil), "?")
	resp := b.do("POST", "/login", url.Values{"to": {to}, "user": {"alice"}, "password": {"wonderland"}})
	b.expect(resp, http.StatusServiceUnavailable, "")
	if page := body(t, resp); strings.Contains(page, "Wrong name") || len(b.cookies) != 0 {
		t.Errorf("%s, cookies %v", page, b.cookies)
	}
	if from != "192.0.2.1" { // httptest's
		t.Errorf("the login came from %q", from)
	}
}

// Cookies of a server that is reached by https are sent by https only.
func TestSecureCookies(t *testing.T) {
	for _, c := range []struct {
		issuer string
		secure bool
	}{{"http://127.0.0.1:8095", false}, {"https://id.test", true}} {
		o := options(new(broker))
		o.Issuer = c.issuer
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		b := newBrowser(t, s)
		_, to, _ := strings.Cut(authorizationRequest(nil), "?")
		signedIn := b.do("POST", "/login", url.Values{"to": {to}, "user": {"alice"}, "password": {"wonderland"}})
		id, _ := b.waiting(authorizationRequest(nil))
		device := b.get("/device")
		b.phone(id, "deny")
		ended := b.get(authorizationRequest(nil))
		for _, resp := range []*http.Response{signedIn, device, ended} {
			if cookies := resp.Cookies(); len(cookies) != 1 || cookies[0].Secure != c.secure || !cookies[0].HttpOnly {
				t.Errorf("%s: %v", c.issuer, cookies)
			}
		}
	}
}

// A server whose options would let somebody in who should be rejected does not
// start.
func TestBadOptions(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no issuer":          func(o *Options) { o.Issuer = "" },
		"issuer with a path": func(o *Options) { o.Issuer = "https://id.test/" },
		"no broker":          func(o *Options) { o.Broker = nil },
		"no secret":          func(o *Options) { o.Clients[0].Secret = "" },
		"no ID":              func(o *Options) { o.Clients[0].ID = "" },
		"ID twice":           func(o *Options) { o.Clients[1].ID = "app" },
		"relative redirect":  func(o *Options) { o.Clients[0].RedirectURLs = []string{"/callback"} },
		"redirect to script": func(o *Options) { o.Clients[0].RedirectURLs = []string{"javascript:alert(1)"} },
		"fragment":           func(o *Options) { o.Clients[0].RedirectURLs = []string{callback + "#"} },
	} {
		o := options(new(broker))
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: it started", name)
		}
	}
}
