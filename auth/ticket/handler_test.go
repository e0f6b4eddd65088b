package ticket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

const (
	host = "ws.example.com"
	ours = "https://" + host
	app  = "https://app.example.com"
	evil = "https://evil.example.net"
)

// bearers replaces a token verifier: the token is the user's name, and a few
// tokens are special.
func bearers(_ context.Context, token string) (*auth.Principal, error) {
	switch token {
	case "", "wrong":
		return nil, &auth.Refusal{Reason: "the token is wrong"}
	case "narrow":
		return nil, &auth.Refusal{Status: 403, Reason: "the scope is too small", Challenge: `Bearer error="insufficient_scope"`}
	case "unavailable":
		return nil, errors.New("dial tcp 10.0.0.1:443: refused")
	case "not mine":
		return nil, auth.ErrNotMine
	case "nobody":
		return nil, nil
	case "anonymous":
		return &auth.Principal{}, nil
	case "blank":
		return &auth.Principal{Name: " "}, nil
	case "expired":
		return &auth.Principal{Name: "alice", Expires: time.Now()}, nil
	}
	return &auth.Principal{Name: token, CredentialID: "token-" + token}, nil
}

func sessions(r *http.Request) (*auth.Principal, bool) {
	c, err := r.Cookie("session")
	if err != nil || c.Value == "old" {
		return nil, false
	}
	return &auth.Principal{Name: c.Value}, true
}

func mustHandler(t testing.TB, tickets *Issuer, o HandlerOptions) http.Handler {
	t.Helper()
	h, err := tickets.Handler(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// ask sends a request with headers given as "Name: value".
func ask(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = host
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// reply returns the ticket of a 200 and the error of any other answer. It
// checks that no answer may be cached.
func reply(t testing.TB, w *httptest.ResponseRecorder) (ticket, problem string) {
	t.Helper()
	var body struct {
		Ticket, Error string
		Expires       int64
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%d %q: %v", w.Code, w.Body, err)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Vary") != "Origin" {
		t.Errorf("headers %v", w.Header())
	}
	if (w.Code == 200) != (body.Ticket != "") || (body.Ticket == "") != (body.Error != "") || (body.Ticket == "") != (body.Expires == 0) {
		t.Errorf("%d with %s", w.Code, w.Body)
	}
	if (w.Code == 401) && w.Header().Get("WWW-Authenticate") == "" {
		t.Error("A-23: 401 without a challenge")
	}
	return body.Ticket, body.Error
}

func TestT1TicketForABearer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tickets := mustTickets(t, newState(), Options{})
		h := mustHandler(t, tickets, HandlerOptions{Bearer: bearers})
		for _, method := range []string{"GET", "POST"} {
			for _, scheme := range []string{"Bearer", "bearer"} {
				w := ask(h, method, "/ws_ticket", "", "Authorization: "+scheme+" alice")
				ticket, _ := reply(t, w)
				var body map[string]any
				if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || len(body) != 2 || body["expires"] != float64(time.Now().Unix()+300) {
					t.Errorf("%s: %v %v", method, body, err)
				}
				p, err := tickets.Consume(t.Context(), ticket, "")
				if err != nil || p.Name != "alice" || p.CredentialID != "token-alice" {
					t.Errorf("%s: %v, %v", method, p, err)
				}
			}
		}
	})
}

func TestT2A23TicketRequestsRefused(t *testing.T) {
	tickets := mustTickets(t, newState(), Options{})
	both := HandlerOptions{Bearer: bearers, Session: sessions, Origins: []string{app, "https://*.shop.example.com"}, MayWait: mayWait}
	const (
		alice  = "Authorization: Bearer alice"
		cookie = "Cookie: session=alice"
		typed  = "Content-Type: application/json"
		bad    = `Bearer error="invalid_token"`
	)
	for _, c := range []struct {
		name    string
		method  string
		target  string
		body    string
		headers []string
		status  int
		header  string // "Name: value" of the response
	}{
		{"T-2 no credential", "POST", "/t", "", nil, 401, "WWW-Authenticate: Bearer"},
		{"T-2 no credential", "GET", "/t", "", nil, 401, "WWW-Authenticate: Bearer"},
		{"another scheme", "POST", "/t", "", []string{"Authorization: Basic YTpi"}, 401, "WWW-Authenticate: Bearer"},
		{"T-2 bad token", "POST", "/t", "", []string{"Authorization: Bearer wrong"}, 401, "WWW-Authenticate: " + bad},
		{"no token", "POST", "/t", "", []string{"Authorization: Bearer"}, 401, "WWW-Authenticate: " + bad},
		{"two schemes", "POST", "/t", "", []string{"Authorization: Basic YTpi", alice}, 401, "WWW-Authenticate: " + bad},
		{"two tokens", "POST", "/t", "", []string{alice, alice}, 401, "WWW-Authenticate: " + bad},
		{"a bad token beside a good cookie", "POST", "/t", "", []string{"Authorization: Bearer wrong", cookie, "Origin: " + ours}, 401, "WWW-Authenticate: " + bad},
		{"scope too small", "POST", "/t", "", []string{"Authorization: Bearer narrow"}, 403, `WWW-Authenticate: Bearer error="insufficient_scope"`},
		{"verifier unavailable", "POST", "/t", "", []string{"Authorization: Bearer unavailable"}, 503, ""},
		{"not the verifier's", "POST", "/t", "", []string{"Authorization: Bearer not mine"}, 401, "WWW-Authenticate: " + bad},
		{"S-5 nobody", "POST", "/t", "", []string{"Authorization: Bearer nobody"}, 401, "WWW-Authenticate: " + bad},
		{"S-5 anonymous", "POST", "/t", "", []string{"Authorization: Bearer anonymous"}, 401, "WWW-Authenticate: " + bad},
		{"illegal name", "POST", "/t", "", []string{"Authorization: Bearer blank"}, 401, "WWW-Authenticate: " + bad},
		{"expired", "POST", "/t", "", []string{"Authorization: Bearer expired"}, 401, "WWW-Authenticate: " + bad},

		{"A-24 token in the URL", "POST", "/t?access_token=alice", "", nil, 400, `WWW-Authenticate: Bearer error="invalid_request"`},
		{"A-24 token in the URL as well", "GET", "/t?x=y&access_token=", "", []string{alice}, 400, `WWW-Authenticate: Bearer error="invalid_request"`},

		{"method", "PUT", "/t", "", []string{alice}, 405, "Allow: GET, POST"},
		{"HEAD would burn a ticket", "HEAD", "/t", "", []string{alice}, 405, "Allow: GET, POST"},
		{"OPTIONS of no page", "OPTIONS", "/t", "", nil, 405, "Allow: GET, POST"},

		{"S-2 cookie", "POST", "/t", "", []string{cookie, "Origin: " + ours}, 200, ""},
		{"S-2 cookie, as new browsers send it", "POST", "/t", "", []string{cookie, "Origin: " + ours, "Sec-Fetch-Site: same-origin"}, 200, ""},
		{"S-2 cookie with GET", "GET", "/t", "", []string{cookie, "Origin: " + ours}, 405, "Allow: POST"},
		{"S-2 any cookie with GET", "GET", "/t", "", []string{"Cookie: a=b"}, 405, "Allow: POST"},
		{"cookie and GET with a token", "GET", "/t", "", []string{cookie, alice}, 200, ""},
		{"T-11 cookie of no page", "POST", "/t", "", []string{cookie}, 403, ""},
		{"old cookie", "POST", "/t", "", []string{"Cookie: session=old", "Origin: " + ours}, 401, "WWW-Authenticate: Bearer"},
		{"S-5 a session of nobody", "POST", "/t", "", []string{"Cookie: session=", "Origin: " + ours}, 401, "WWW-Authenticate: Bearer"},
		{"other cookie", "POST", "/t", "", []string{"Cookie: x=alice", "Origin: " + ours}, 401, "WWW-Authenticate: Bearer"},

		{"T-11 foreign origin", "POST", "/t", "", []string{cookie, "Origin: " + evil}, 403, ""},
		{"T-11 foreign origin with a token", "POST", "/t", "", []string{alice, "Origin: " + evil}, 403, ""},
		{"T-11 foreign origin with GET", "GET", "/t", "", []string{alice, "Origin: " + evil}, 403, ""},
		{"T-11 no origin", "POST", "/t", "", []string{cookie, "Origin: null"}, 403, ""},
		{"T-11 no origin at all", "POST", "/t", "", []string{cookie, "Origin: "}, 403, ""},
		{"T-11 two origins", "POST", "/t", "", []string{cookie, "Origin: " + ours, "Origin: " + evil}, 403, ""},
		{"T-11 another port", "POST", "/t", "", []string{cookie, "Origin: " + ours + ":8443"}, 403, ""},
		{"T-11 a proxy ends TLS", "POST", "/t", "", []string{cookie, "Origin: http://" + host}, 200, ""},
		{"T-11 cross-site", "POST", "/t", "", []string{alice, "Sec-Fetch-Site: cross-site"}, 403, ""},
		{"T-11 another site with our origin", "POST", "/t", "", []string{cookie, "Origin: " + ours, "Sec-Fetch-Site: cross-site"}, 403, ""},
		{"T-11 localhost is a host as others", "POST", "/t", "", []string{cookie, "Origin: http://localhost"}, 403, ""},
		{"allowed origin", "POST", "/t", "", []string{cookie, "Origin: " + app, "Sec-Fetch-Site: same-site"}, 200, "Access-Control-Allow-Origin: " + app},
		{"allowed origin, refused", "POST", "/t", "", []string{"Origin: " + app}, 401, "Access-Control-Allow-Origin: " + app},
		{"allowed origin, answer's headers", "POST", "/t", "", []string{"Origin: " + app}, 401, "Access-Control-Expose-Headers: Retry-After, WWW-Authenticate"},
		{"allowed by pattern", "POST", "/t", "", []string{cookie, "Origin: https://a.b.shop.example.com"}, 200, "Access-Control-Allow-Credentials: true"},
		{"pattern, other scheme", "POST", "/t", "", []string{cookie, "Origin: http://a.shop.example.com"}, 403, "Access-Control-Allow-Origin: "},
		{"pattern, nothing before", "POST", "/t", "", []string{cookie, "Origin: https://shop.example.com"}, 403, ""},
		{"pattern, no label before", "POST", "/t", "", []string{cookie, "Origin: https://.shop.example.com"}, 403, ""},
		{"pattern, only its end", "POST", "/t", "", []string{cookie, "Origin: https://evilshop.example.com"}, 403, ""},

		{"T-13 operation", "POST", "/t", `{"operation":"op"}`, []string{alice, typed}, 200, ""},
		{"another's operation", "POST", "/t", `{"operation":"op"}`, []string{"Authorization: Bearer bob", typed}, 403, ""},
		{"an operation of nobody", "POST", "/t", `{"operation":"none"}`, []string{alice, typed}, 403, ""},
		{"an operation that cannot be checked", "POST", "/t", `{"operation":"down"}`, []string{alice, typed}, 503, "Retry-After: 1"},
		{"empty object", "POST", "/t", `{}`, []string{alice, typed + "; charset=utf-8"}, 200, ""},
		{"a type and no body", "POST", "/t", ``, []string{alice, typed}, 200, ""},
		{"a body no page needs leave for", "POST", "/t", `{}`, []string{alice, "Content-Type: text/plain"}, 415, ""},
		{"no type", "POST", "/t", `{}`, []string{alice}, 415, ""},
		{"no JSON", "POST", "/t", `{`, []string{alice, typed}, 400, ""},
		{"two values", "POST", "/t", `{}{}`, []string{alice, typed}, 400, ""},
		{"no object", "POST", "/t", `["operation"]`, []string{alice, typed}, 400, ""},
		{"no text", "POST", "/t", `{"operation":1}`, []string{alice, typed}, 400, ""},
		{"illegal operation", "POST", "/t", `{"operation":"a\nb"}`, []string{alice, typed}, 400, ""},
		{"body too long", "POST", "/t", strings.Repeat(" ", 4097), []string{alice, typed}, 413, ""},
		{"a GET's body is nothing", "GET", "/t", `{`, []string{alice}, 200, ""},
	} {
		h := mustHandler(t, tickets, both)
		w := ask(h, c.method, c.target, c.body, c.headers...)
		_, problem := reply(t, w)
		name, value, _ := strings.Cut(c.header, ": ")
		if w.Code != c.status || name != "" && w.Header().Get(name) != value {
			t.Errorf("%s: %d %s, %v", c.name, w.Code, problem, w.Header())
		}
		if strings.Contains(problem, "10.0.0.1") || strings.Contains(problem, "alice") {
			t.Errorf("%s: tells too much: %s", c.name, problem)
		}
	}
}

func TestT6PlusTooManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := mustHandler(t, mustTickets(t, newState(), Options{Burst: 2, Rate: 0.4}), HandlerOptions{Bearer: bearers})
		for i, want := range []int{200, 200, 429} {
			w := ask(h, "POST", "/t", "", "Authorization: Bearer alice")
			reply(t, w)
			if w.Code != want || want == 429 && w.Header().Get("Retry-After") != "3" {
				t.Errorf("%d: %d, %v", i, w.Code, w.Header())
			}
		}
	})
}

// S-11: a revocation during the check of the token counts.
func TestS11RevokedWhileTheTokenIsChecked(t *testing.T) {
	for name, change := range map[string]func(s *auth.Revocations) error{
		"bumped": func(s *auth.Revocations) error { return s.BumpEpoch(t.Context(), "alice") },
		"user":   func(s *auth.Revocations) error { return s.Revoke(t.Context(), auth.Revocation{User: "alice"}) },
		"token": func(s *auth.Revocations) error {
			return s.Revoke(t.Context(), auth.Revocation{Credential: "token-alice"})
		},
		"nothing": func(*auth.Revocations) error { return nil },
	} {
		store := newState()
		h := mustHandler(t, mustTickets(t, store, Options{}), HandlerOptions{
			Bearer: func(ctx context.Context, token string) (*auth.Principal, error) {
				if err := change(store.revocations); err != nil {
					t.Error(err)
				}
				return bearers(ctx, token)
			},
		})
		want := 401
		if name == "nothing" {
			want = 200
		}
		if w := ask(h, "POST", "/t", "", "Authorization: Bearer alice"); w.Code != want {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

func TestTicketRequestThatCannotBeSigned(t *testing.T) {
	tickets := mustTickets(t, newState(), Options{Signed: true, Secrets: []Secret{key('a')}})
	h := mustHandler(t, tickets, HandlerOptions{Bearer: func(context.Context, string) (*auth.Principal, error) {
		return &auth.Principal{Name: "alice", Claims: map[string]any{"long": strings.Repeat("x", 4000)}}, nil
	}})
	w := ask(h, "GET", "/t", "", "Authorization: Bearer x")
	if reply(t, w); w.Code != 400 {
		t.Errorf("%d", w.Code)
	}
}

func TestHandlerWithoutAWayIn(t *testing.T) {
	tickets := mustTickets(t, newState(), Options{})
	none := mustHandler(t, tickets, HandlerOptions{})
	w := ask(none, "POST", "/t", "", "Authorization: Bearer alice", "Cookie: session=alice", "Origin: "+ours)
	if reply(t, w); w.Code != 401 {
		t.Errorf("%d", w.Code)
	}
	cookies := mustHandler(t, tickets, HandlerOptions{Session: sessions})
	w = ask(cookies, "GET", "/t", "", "Cookie: session=alice")
	if reply(t, w); w.Code != 405 || w.Header().Get("Allow") != "POST" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestWriteRefusal(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string // status, error, Retry-After, WWW-Authenticate
	}{
		{nil, "401 authentication failed||"},
		{errors.New("internal"), "401 authentication failed||"},
		{&Error{Cause: Used}, "401 invalid_ticket||"},
		{&auth.Refusal{Status: 429, RetryAfter: time.Millisecond, Reason: "busy"}, "429 busy|1|"},
		{&auth.Refusal{RetryAfter: 1001 * time.Millisecond, Challenge: "Bearer"}, "401 authentication failed|2|Bearer"},
	} {
		w := httptest.NewRecorder()
		auth.WriteRefusal(w, c.err)
		var body struct{ Error string }
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%d %s|%s|%s", w.Code, body.Error, w.Header().Get("Retry-After"), w.Header().Get("WWW-Authenticate"))
		if got != c.want {
			t.Errorf("%v: %s", c.err, got)
		}
	}
}

// A request without a credential, or with one of an unknown kind, gets an
// answer that says what is accepted.
func TestTicketHandlerSaysWhatIsMissing(t *testing.T) {
	tickets := mustTickets(t, newState(), Options{})
	bearer := func(context.Context, string) (*auth.Principal, error) { return nil, auth.ErrNotMine }
	session := func(*http.Request) (*auth.Principal, bool) { return nil, false }
	passcode := func(*http.Request, string, string) (*auth.Principal, error) { return nil, auth.ErrNotMine }
	for name, c := range map[string]struct {
		o                           HandlerOptions
		header, value, want, method string
	}{
		"nothing": {HandlerOptions{Bearer: bearer, Session: session, Passcode: passcode}, "", "",
			"no credential was sent; a ticket is given for a bearer token, or the cookie of a login, or a login with its passcode, by POST with HTTP Basic", "POST"},
		"a cookie of no login": {HandlerOptions{Session: session}, "Cookie", "hoofbeat=x",
			"the cookie belongs to no login, or the login has ended; a ticket is given for the cookie of a login", "POST"},
		"a cookie that nobody reads": {HandlerOptions{Bearer: bearer}, "Cookie", "hoofbeat=x",
			"no credential was sent; a ticket is given for a bearer token", "POST"},
		"a token where passcodes are known": {HandlerOptions{Passcode: passcode}, "Authorization", "Bearer x",
			"no credential of this kind is accepted here; a ticket is given for a login with its passcode, by POST with HTTP Basic", "POST"},
	} {
		h, err := tickets.Handler(c.o)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(c.method, "http://example.com/ws_ticket", nil)
		r.Header.Set("Origin", "http://example.com")
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if want := `{"error":"authentication failed: ` + c.want + `"}`; w.Code != 401 || strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("%s: %d %s, want %s", name, w.Code, w.Body, want)
		}
	}
}
