package webflow_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

const (
	app  = "https://app.example.com"
	evil = "https://evil.example"
)

// startFor starts a Flow with a broker whose Options say which pages may
// connect.
func startFor(t *testing.T, o broker.Options) (*broker.Broker, *webflow.Flow) {
	t.Helper()
	o.Authenticator = credentials
	b := brokertest.New(t, o)
	f, err := webflow.New(b, webflow.Options{PollInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return b, f
}

// ask sends a request to broker.example with headers (name, value, …).
func ask(h http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://broker.example"+path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// hasHeaders compares headers of an answer; "" means that the header is absent.
func hasHeaders(t *testing.T, name string, w *httptest.ResponseRecorder, want map[string]string) {
	t.Helper()
	for header, value := range want {
		if got := strings.Join(w.Header().Values(header), "|"); got != value {
			t.Errorf("%s: %s is %q, want %q", name, header, got, value)
		}
	}
}

func TestPollPreflight(t *testing.T) {
	_, f := startFor(t, broker.Options{Origins: []string{app, "http://localhost:*"}})
	h := f.PollHandler(webflow.HandlerOptions{})
	for path, method := range map[string]string{"/operations/ws-op/result": "GET", "/operations/ws-op/poll-token": "POST"} {
		for _, origin := range []string{app, "http://localhost:5173"} {
			w := ask(h, "OPTIONS", path, "Origin", origin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", "authorization,poll-token")
			if w.Code != http.StatusNoContent || w.Body.Len() != 0 {
				t.Errorf("%s from %s: HTTP %d %s", path, origin, w.Code, w.Body)
			}
			hasHeaders(t, path, w, map[string]string{
				"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Methods": method,
				"Access-Control-Allow-Headers": "Authorization, Content-Type, poll-token", "Access-Control-Max-Age": "600", "Vary": "Origin",
				"Access-Control-Allow-Credentials": "",
			})
		}
		w := ask(h, "OPTIONS", path, "Origin", evil, "Access-Control-Request-Method", method)
		if w.Code != http.StatusForbidden {
			t.Errorf("%s of another page: HTTP %d", path, w.Code)
		}
		hasHeaders(t, path, w, map[string]string{"Access-Control-Allow-Origin": "", "Access-Control-Allow-Methods": "", "Vary": "Origin"})
		if w := ask(h, "OPTIONS", path); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: OPTIONS of no page: HTTP %d", path, w.Code)
		}
	}
}

// The pages that may poll can read every answer, whatever it is.
func TestPollAnswersPagesOfTheOrigins(t *testing.T) {
	_, f := startFor(t, broker.Options{Origins: []string{app}})
	open(t, f, "op", user("alice"))
	h := handler(f)
	for name, w := range map[string]*httptest.ResponseRecorder{
		"200": ask(h, "GET", "/operations/ws-op/result", "Origin", app, "X-User", "alice"),
		"404": ask(h, "GET", "/operations/ws-op/result", "Origin", app),
		"405": ask(h, "DELETE", "/operations/ws-op/result", "Origin", app),
	} {
		if strconv.Itoa(w.Code) != name {
			t.Errorf("%s: HTTP %d", name, w.Code)
		}
		hasHeaders(t, name, w, map[string]string{
			"Access-Control-Allow-Origin": app, "Vary": "Origin", "Access-Control-Allow-Credentials": "",
			"Access-Control-Expose-Headers": "poll-token, Retry-After, WWW-Authenticate",
		})
	}
	w := ask(h, "POST", "/operations/ws-op/poll-token", "Origin", app, "X-User", "alice")
	pollToken(t, w)
	hasHeaders(t, "poll-token", w, map[string]string{"Access-Control-Allow-Origin": app, "Vary": "Origin"})
}

// Other pages cannot poll or spend tickets, and the answer says why.
func TestPollRefusesForeignPages(t *testing.T) {
	_, f := startFor(t, broker.Options{Origins: []string{app}})
	open(t, f, "op", webflow.Owner{})
	h, mint := withTickets(t, f)
	ticket := mint("visitor", "op")
	for _, headers := range [][]string{
		{"Origin", evil}, {"Origin", "null"}, {"Origin", "http://app.example.com"}, {"Origin", app + ":8443"}, {"Origin", app + "/"},
		{"Origin", "https://app.example.com.evil.example"}, {"Origin", ""}, {"Origin", app, "Origin", evil}, {"Origin", app, "Origin", app},
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "http://broker.example", "Sec-Fetch-Site", "cross-site"},
	} {
		w := ask(h, "POST", "/operations/ws-op/poll-token", append(headers, "Authorization", "Ticket "+ticket)...)
		if body := w.Body.String(); w.Code != http.StatusForbidden || !strings.Contains(body, `"error":"origin not allowed"`) || !strings.Contains(body, `"key":"websocket.origins"`) {
			t.Errorf("%q: HTTP %d %s", headers, w.Code, body)
		}
		hasHeaders(t, strings.Join(headers, " "), w, map[string]string{"Access-Control-Allow-Origin": "", "Vary": "Origin", "Poll-Token": ""})
	}
	if body := ask(h, "GET", "/operations/ws-op/result", "Origin", evil).Body.String(); !strings.Contains(body, `"origin":"`+evil+`"`) {
		t.Errorf("answered %s", body)
	}
	token := pollToken(t, ask(h, "POST", "/operations/ws-op/poll-token", "Origin", "HTTPS://App.Example.com", "Authorization", "Ticket "+ticket)) // not spent
	for name, headers := range map[string][]string{
		"a backend": nil, "our own page": {"Sec-Fetch-Site", "same-origin"}, "our own page over a proxy": {"Origin", "https://broker.example", "Sec-Fetch-Site", "same-origin"},
	} {
		w := ask(h, "GET", "/operations/ws-op/result", append(headers, "poll-token", token)...)
		wantAnswer(t, w, 200, stillWait)
		hasHeaders(t, name, w, map[string]string{"Access-Control-Allow-Origin": "", "Vary": "Origin"})
		w = ask(h, "HEAD", "/operations/ws-op/result", append(headers, "poll-token", token)...)
		if w.Code != 200 {
			t.Errorf("HEAD of %s: HTTP %d", name, w.Code)
		}
	}
}

// Cookies are accepted only from pages of listed origins, and only if Identify
// uses them.
func TestPollWithCookies(t *testing.T) {
	identify := func(*http.Request) *auth.Principal { return nil }
	for _, x := range []struct {
		origins []string
		o       webflow.HandlerOptions
		want    string
	}{
		{[]string{app}, webflow.HandlerOptions{Identify: identify, Cookies: true}, "true"},
		{[]string{app}, webflow.HandlerOptions{Identify: identify}, ""},
		{[]string{app}, webflow.HandlerOptions{Cookies: true}, ""},
		{[]string{app, "*"}, webflow.HandlerOptions{Identify: identify, Cookies: true}, ""},
		{[]string{app, "null"}, webflow.HandlerOptions{Identify: identify, Cookies: true}, ""},
	} {
		_, f := startFor(t, broker.Options{Origins: x.origins})
		for _, method := range []string{"OPTIONS", "GET"} {
			w := ask(f.PollHandler(x.o), method, "/operations/ws-op/result", "Origin", app)
			hasHeaders(t, method+" "+strings.Join(x.origins, ","), w, map[string]string{"Access-Control-Allow-Origin": app, "Access-Control-Allow-Credentials": x.want})
		}
	}
}

// In development mode, a page of this machine may poll from any port until a
// list says otherwise, but not under another host name (DNS rebinding).
func TestPollOnThisMachineOnly(t *testing.T) {
	b, f := startFor(t, broker.Options{LoopbackOnly: true})
	h := f.PollHandler(webflow.HandlerOptions{})
	get := func(host, origin string) int {
		r := httptest.NewRequest("GET", "http://"+host+"/operations/ws-op/result", nil)
		r.Header.Set("Origin", origin)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if allowed := w.Header().Get("Access-Control-Allow-Origin"); allowed != "" && allowed != origin || allowed == "" && w.Code != 403 {
			t.Errorf("%s: Access-Control-Allow-Origin is %q", origin, allowed)
		}
		return w.Code
	}
	for _, x := range []struct {
		host, origin string
		want         int
	}{
		{"localhost:8080", "http://localhost:5173", 404}, {"127.0.0.1:8080", "https://localhost", 404}, {"localhost:8080", evil, 403},
		{"localhost:8080", "null", 403}, {"evil.example:8080", "http://evil.example:8080", 403},
	} {
		if got := get(x.host, x.origin); got != x.want {
			t.Errorf("%s from %s: HTTP %d, want %d", x.host, x.origin, got, x.want)
		}
	}
	if err := b.SetPolicy(broker.Policy{Origins: []string{app}}); err != nil {
		t.Fatal(err)
	}
	if a, b := get("localhost:8080", "http://localhost:5173"), get("localhost:8080", app); a != 403 || b != 404 {
		t.Errorf("with a new list: HTTP %d and %d", a, b)
	}
}
