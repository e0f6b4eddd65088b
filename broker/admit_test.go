package broker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// request makes a WebSocket handshake that never saw a socket.
func request(method, target, remote string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.RemoteAddr = remote
	r.Host = "broker.example"
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		r.Header.Set(name, value)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// retryAfter returns the Retry-After that a refusal is answered with.
func retryAfter(err error) string {
	w := httptest.NewRecorder()
	auth.WriteRefusal(w, err)
	return w.Header().Get("Retry-After")
}

// admitted returns the status that a request is refused with, 101 if it is not.
func admitted(t *testing.T, b *broker.Broker, r *http.Request) int {
	t.Helper()
	a, err := b.Admit(r)
	a.Release()
	if err == nil {
		return http.StatusSwitchingProtocols
	}
	var refusal *auth.Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("refused with %v", err)
	}
	return refusal.StatusCode()
}

func TestNoWebSocketHandshake(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{})
	for name, tc := range map[string]struct {
		method string
		change func(http.Header)
		status int
		header string
	}{
		"POST":             {"POST", func(http.Header) {}, 405, "Allow"},
		"plain GET":        {"GET", func(h http.Header) { clear(h) }, 426, "Upgrade"},
		"no Upgrade":       {"GET", func(h http.Header) { h.Del("Upgrade") }, 426, "Upgrade"},
		"another protocol": {"GET", func(h http.Header) { h.Set("Upgrade", "h2c") }, 426, "Upgrade"},
		"old version":      {"GET", func(h http.Header) { h.Set("Sec-WebSocket-Version", "8") }, 426, "Sec-Websocket-Version"},
		"no version":       {"GET", func(h http.Header) { h.Del("Sec-WebSocket-Version") }, 426, "Sec-Websocket-Version"},
		"no key":           {"GET", func(h http.Header) { h.Del("Sec-WebSocket-Key") }, 400, ""},
		"short key":        {"GET", func(h http.Header) { h.Set("Sec-WebSocket-Key", "c2hvcnQ=") }, 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(tc.method, "/ws", "")
			tc.change(r.Header)
			r.RequestURI = ""
			r.URL.Scheme, r.URL.Host = "http", srv.HTTP.Listener.Addr().String()
			res, err := srv.HTTP.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || res.StatusCode != tc.status {
				t.Fatalf("%s %q %v, want %d", res.Status, body, err, tc.status)
			}
			if tc.header != "" && res.Header.Get(tc.header) == "" {
				t.Errorf("no %s header: %v", tc.header, res.Header)
			}
			var answer map[string]string
			if err := json.Unmarshal(body, &answer); err != nil || answer["error"] == "" {
				t.Errorf("the body is %q", body)
			}
		})
	}
	if st := srv.Broker.Stats(); st.Refused != 8 || st.Opened != 0 {
		t.Errorf("%d refused, %d opened", st.Refused, st.Opened)
	}
}

// A server whose connections cannot be taken over says so: an empty 200 would
// leave the client guessing.
func TestHandshakeThatCannotBeHijacked(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	w := httptest.NewRecorder()
	b.ServeHTTP(w, request("GET", "/ws", "192.0.2.1:1"))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("answered with %d %q", w.Code, w.Body)
	}
	if all, _ := b.Places(); all != 0 {
		t.Errorf("%d places are left", all)
	}
	if n := b.Stats().Refused; n != 1 {
		t.Errorf("%d refused handshakes are counted, want 1", n)
	}
}

// A wrong ticket or token counts for its address wherever it is presented: in
// CONNECT, too, and where it belongs to another user than the login beside it.
func TestWrongTokensOfConnectCountForTheAddress(t *testing.T) {
	token := auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
		switch {
		case a.Ticket == "anns":
			return &auth.Principal{Name: "ann"}, nil
		case a.Ticket != "" || a.Bearer != "":
			return nil, &auth.Refusal{Reason: "unknown ticket"}
		}
		return nil, auth.ErrNotMine
	})
	for name, tc := range map[string]struct {
		target  string
		headers []string
	}{
		"wrong tickets":          {"/ws", []string{"ticket", "wrong"}},
		"tickets of other users": {"/ws?ticket=anns", []string{"login", "bob"}},
	} {
		t.Run(name, func(t *testing.T) {
			srv := brokertest.Start(t, broker.Options{Authenticator: token, Limits: broker.Limits{AddressFailures: 2}})
			for range 3 {
				_, p := handshake(t, srv, tc.target)
				p.send(t, "CONNECT", "", append([]string{"accept-version", "1.2"}, tc.headers...)...)
				p.want(t, "ERROR")
			}
			if res, _ := handshake(t, srv, "/ws?ticket=wrong"); res.StatusCode != http.StatusTooManyRequests {
				t.Errorf("the next wrong ticket is answered with %s", res.Status)
			}
			if res, _ := handshake(t, srv, "/ws?ticket=anns"); res.StatusCode != http.StatusSwitchingProtocols {
				t.Errorf("a right ticket is answered with %s", res.Status)
			}
		})
	}
}

func TestOrigin(t *testing.T) { // T-11: scheme, host and port
	const refused, ok = http.StatusForbidden, http.StatusSwitchingProtocols
	listed := []string{"https://app.example.com", "http://dev.example.com:3000", "https://*.wild.example", "https://[2001:db8::1]:8443"}
	for _, tc := range []struct {
		origins []string
		origin  string
		status  int
	}{
		{listed, "https://app.example.com", ok},
		{listed, "HTTPS://APP.example.COM", ok},
		{listed, "https://app.example.com:443", ok},
		{listed, "http://app.example.com", refused},
		{listed, "https://app.example.com:8443", refused},
		{listed, "https://app.example.com:80", refused},
		{listed, "https://example.com", refused},
		{listed, "https://x.app.example.com", refused},
		{listed, "https://app.example.com.evil.example", refused},
		{listed, "https://evil-app.example.com", refused},
		{listed, "https://evil.example/https://app.example.com", refused},
		{listed, "https://app.example.com@evil.example", refused},
		{listed, "https://app.example.com\\@evil.example", refused},
		{listed, "null", refused},
		{listed, "", refused},
		{listed, "app.example.com", refused},
		{listed, "//app.example.com", refused},
		{listed, "https://", refused},
		{listed, "http://dev.example.com:3000", ok},
		{listed, "http://dev.example.com", refused},
		{listed, "https://dev.example.com:3000", refused},
		{listed, "https://a.wild.example", ok},
		{listed, "https://a.b.wild.example", ok},
		{listed, "https://wild.example", refused},
		{listed, "https://.wild.example", refused},
		{listed, "https://evilwild.example", refused},
		{listed, "https://a.wild.example:444", refused},
		{listed, "http://a.wild.example", refused},
		{listed, "https://[2001:db8::1]:8443", ok},
		{listed, "https://[2001:db8::1]", refused},
		{listed, "http://broker.example", ok}, // our own host, as in Spring
		{listed, "https://broker.example", ok},
		{listed, "http://broker.example:8080", refused},
		{[]string{"https://broker.example"}, "http://broker.example", refused}, // which has the scheme that the list says
		{[]string{"https://*.example", "http://broker.example:81"}, "http://broker.example", ok},
		{[]string{"http://localhost:*", "https://*.wild.example:*"}, "http://localhost:5173", ok},
		{[]string{"http://localhost:*"}, "http://localhost", ok},
		{[]string{"http://localhost:*"}, "https://localhost:5173", refused},
		{[]string{"http://localhost:*"}, "http://localhost.evil.example:5173", refused},
		{[]string{"http://localhost:*", "https://*.wild.example:*"}, "https://a.wild.example:8443", ok},
		{[]string{"null"}, "null", ok},
		{[]string{"null"}, "https://evil.example", refused},
		{[]string{"file://"}, "file://", ok},
		{[]string{"file://"}, "null", refused},
		{[]string{"capacitor://localhost", "app://-"}, "capacitor://localhost", ok},
		{[]string{"capacitor://localhost", "app://-"}, "app://-", ok},
		{[]string{"capacitor://localhost"}, "ionic://localhost", refused},
		{[]string{"https://bücher.example"}, "https://xn--bcher-kva.example", ok},
		{[]string{"https://xn--bcher-kva.example"}, "https://xn--bcher-kva.example", ok},
		{[]string{"https://bücher.example"}, "https://bucher.example", refused},
		{nil, "capacitor://broker.example", refused}, // no page of ours
		{nil, "http://localhost:5173", refused},
		{nil, "http://broker.example", ok},
		{nil, "https://broker.example", ok}, // behind a proxy that ends TLS
		{nil, "http://broker.example:80", ok},
		{nil, "http://broker.example:8080", refused},
		{nil, "https://broker.example:80", refused},
		{nil, "https://evil.example", refused},
		{nil, "https://broker.example.evil.example", refused},
		{nil, "null", refused},
		{[]string{"*"}, "https://evil.example", ok},
		{[]string{"*"}, "null", ok},
	} {
		b := brokertest.New(t, broker.Options{Origins: tc.origins})
		if got := admitted(t, b, request("GET", "/ws", "192.0.2.1:1", "Origin", tc.origin)); got != tc.status {
			t.Errorf("Origin %q with %q: %d, want %d", tc.origin, tc.origins, got, tc.status)
		}
	}
	b := brokertest.New(t, broker.Options{Origins: listed})
	if got := admitted(t, b, request("GET", "/ws", "192.0.2.1:1")); got != ok {
		t.Errorf("without an Origin: %d", got)
	}
	if got := admitted(t, b, request("GET", "/ws", "192.0.2.1:1", "Origin", listed[0], "Origin", "https://evil.example")); got != refused {
		t.Errorf("two Origins: %d", got)
	}
}

func TestOriginsThatAreNone(t *testing.T) {
	for _, s := range []string{"", "app.example.com", "https://", "https://a.example/path", "https://a.example/", "https://a.example?q", "https://u@a.example", "https://a.*.example", "https://*", "https://*.", "https://**.example", "http://localhost:x", "http://localhost:", "https://bu\u0308cher.example"} {
		if b, err := broker.New(broker.Options{Origins: []string{s}}); err == nil {
			_ = b.Close()
			t.Errorf("%q is taken for an origin", s)
		} else if !strings.Contains(err.Error(), "Options.Origins") {
			t.Errorf("%q: the error does not name the field: %v", s, err)
		}
	}
}

// T-10: refused earlier, nothing later is asked; a ticket survives.
func TestOrderOfChecks(t *testing.T) {
	var asked []string
	b := brokertest.New(t, broker.Options{
		Limits: broker.Limits{Unauthenticated: 1},
		Authenticator: auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
			asked = append(asked, a.Ticket)
			return &auth.Principal{Name: "alice"}, nil
		}),
	})
	hold, err := b.Admit(request("GET", "/ws?ticket=first", "192.0.2.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	bad := request("GET", "/ws?ticket=x", "192.0.2.1:1", "Origin", "https://evil.example")
	bad.Header.Del("Upgrade")
	b.ServeHTTP(w, bad)
	for _, tc := range []struct {
		name      string
		got, want int
	}{
		{"upgrade headers before Origin", w.Code, 426},
		{"Origin before caps", admitted(t, b, request("GET", "/ws?ticket=x", "192.0.2.1:1", "Origin", "https://evil.example")), 403},
		{"caps before the ticket", admitted(t, b, request("GET", "/ws?ticket=x", "192.0.2.1:1")), 429},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, tc.got, tc.want)
		}
	}
	hold.Release()
	hold.Release() // twice does nothing
	if got := admitted(t, b, request("GET", "/ws?ticket=second", "192.0.2.1:1")); got != 101 {
		t.Errorf("after the place was given back: %d", got)
	}
	if fmt.Sprint(asked) != "[first second]" {
		t.Errorf("the authenticator was asked about %v", asked)
	}
}

// T-12, A-24: what of a handshake an authenticator sees, and that no log does.
func TestSecretsOfTheHandshake(t *testing.T) {
	var log bytes.Buffer
	var seen auth.Attempt
	b := brokertest.New(t, broker.Options{
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Authenticator: auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
			seen = *a
			return nil, &auth.Refusal{Reason: "no", Challenge: "Bearer"}
		}),
	})
	for name, tc := range map[string]struct {
		target         string
		headers        []string
		ticket, bearer string
		status         int
	}{
		"query":         {"/ws?ticket=s3cret&room=7", nil, "s3cret", "", 401},
		"subprotocol":   {"/ws", []string{"Sec-WebSocket-Protocol", "v12.stomp, ticket.s3cret"}, "s3cret", "", 401},
		"two headers":   {"/ws", []string{"Sec-WebSocket-Protocol", "v12.stomp", "Sec-WebSocket-Protocol", "ticket.s3cret"}, "s3cret", "", 401},
		"authorization": {"/ws", []string{"Authorization", "bearer s3cret"}, "", "s3cret", 401},
		"basic":         {"/ws", []string{"Authorization", "Basic s3cret"}, "", "", 401},
		"access token":  {"/ws?access_token=s3cret", nil, "", "", 400},
		"empty token":   {"/ws?access_token", nil, "", "", 400},
	} {
		t.Run(name, func(t *testing.T) {
			seen = auth.Attempt{}
			w := httptest.NewRecorder()
			b.ServeHTTP(w, request("GET", tc.target, fmt.Sprintf("192.0.2.%d:1", len(tc.target)), tc.headers...))
			if w.Code != tc.status || strings.Contains(w.Body.String(), "s3cret") {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if tc.status == 400 {
				if seen.Header != nil {
					t.Error("the authenticator was asked")
				}
				return
			}
			if seen.Ticket != tc.ticket || seen.Bearer != tc.bearer || seen.Stage != auth.StageHandshake {
				t.Errorf("the authenticator saw ticket %q and bearer %q", seen.Ticket, seen.Bearer)
			}
			if strings.Contains(seen.Handshake.URL.String(), "s3cret") || strings.Contains(fmt.Sprint(seen.Handshake.Header["Sec-Websocket-Protocol"]), "s3cret") {
				t.Errorf("a secret is not masked: %v %v", seen.Handshake.URL, seen.Handshake.Header)
			}
			if name == "query" && seen.Handshake.URL.Query().Get("room") != "7" {
				t.Errorf("the rest of the URL is lost: %v", seen.Handshake.URL)
			}
			if w.Header().Get("WWW-Authenticate") != "Bearer" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("the headers are %v", w.Header())
			}
		})
	}
	if strings.Contains(log.String(), "s3cret") {
		t.Errorf("a secret is in the log:\n%s", log.String())
	}
}

// A request that means to carry a bearer token and has none, or two, of which a
// proxy may have checked the other, is refused before any authenticator is asked.
func TestAmbiguousAuthorizationIsRefused(t *testing.T) {
	b := brokertest.New(t, broker.Options{
		Authenticator: auth.AuthenticatorFunc(func(context.Context, *auth.Attempt) (*auth.Principal, error) {
			t.Error("the authenticator was asked")
			return &auth.Principal{Name: "alice"}, nil
		}),
	})
	for name, headers := range map[string][]string{
		"no token":       {"Authorization", "Bearer"},
		"spaces":         {"Authorization", "bearer   "},
		"the same twice": {"Authorization", "Bearer s3cret", "Authorization", "Bearer s3cret"},
		"two schemes":    {"Authorization", "Basic YTpi", "Authorization", "Bearer s3cret"},
		"beside ticket":  {"Authorization", "Bearer a", "Authorization", "Bearer b", "Sec-WebSocket-Protocol", "ticket.good"},
	} {
		w := httptest.NewRecorder()
		b.ServeHTTP(w, request("GET", "/ws", "192.0.2.1:1", headers...))
		if w.Code != 401 || w.Header().Get("WWW-Authenticate") != `Bearer error="invalid_token"` || !strings.Contains(w.Body.String(), "one Authorization header") {
			t.Errorf("%s: %d %v %s", name, w.Code, w.Header(), w.Body)
		}
	}
}

// The ticket entry of the sub-protocols is never echoed (trap 41).
func TestTicketSubprotocolIsNotEchoed(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{Authenticator: wallet()})
	for offered, want := range map[string]string{
		"v12.stomp, ticket.alice": "v12.stomp", "ticket.alice, v10.stomp, v11.stomp": "v11.stomp", "ticket.alice": "", "soap": "",
	} {
		res, _ := handshake(t, srv, "/ws", "Sec-WebSocket-Protocol", offered)
		if res.StatusCode != 101 || res.Header.Get("Sec-WebSocket-Protocol") != want {
			t.Errorf("%s was answered with %s %q, want %q", offered, res.Status, res.Header.Get("Sec-WebSocket-Protocol"), want)
		}
	}
}

func TestHandshakeAuthenticatorFails(t *testing.T) { // fails closed, tells nothing
	for name, f := range map[string]auth.AuthenticatorFunc{
		"error":   func(context.Context, *auth.Attempt) (*auth.Principal, error) { return nil, errors.New("ldap is down") },
		"nothing": func(context.Context, *auth.Attempt) (*auth.Principal, error) { return nil, nil },
		"panic":   func(context.Context, *auth.Attempt) (*auth.Principal, error) { panic("ldap") },
		"bad name": func(context.Context, *auth.Attempt) (*auth.Principal, error) {
			return &auth.Principal{Name: "a\nb"}, nil
		},
		"none": nil,
	} {
		t.Run(name, func(t *testing.T) {
			o := broker.Options{Authenticator: f}
			if f == nil {
				o.Authenticator = nil
			}
			b, err := broker.New(o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.Close() })
			w := httptest.NewRecorder()
			b.ServeHTTP(w, request("GET", "/ws", "192.0.2.1:1"))
			if w.Code != 401 || strings.TrimSpace(w.Body.String()) != `{"error":"authentication failed"}` {
				t.Errorf("answered with %d %s", w.Code, w.Body)
			}
			if all, _ := b.Places(); all != 0 {
				t.Errorf("%d places are left", all)
			}
		})
	}
}

// N+2: over the caps the handshake is refused, with a time to come again.
func TestCaps(t *testing.T) {
	for name, tc := range map[string]struct {
		limits    broker.Limits
		addresses []string
		more      string
		status    int
		text      string
	}{
		"per address":  {broker.Limits{UnauthenticatedPerAddress: 2}, []string{"192.0.2.1", "192.0.2.1"}, "192.0.2.1", 429, "too many unauthenticated connections from your address: limits.unauthenticated_per_address is 2"},
		"another one":  {broker.Limits{UnauthenticatedPerAddress: 2}, []string{"192.0.2.1", "192.0.2.1"}, "192.0.2.2", 101, ""},
		"in all":       {broker.Limits{Unauthenticated: 2}, []string{"192.0.2.1", "192.0.2.2"}, "192.0.2.3", 429, "too many unauthenticated connections: limits.unauthenticated is 2"},
		"IPv6 /64":     {broker.Limits{UnauthenticatedPerAddress: 2}, []string{"[2001:db8::1]", "[2001:db8::2]"}, "[2001:db8::3:0:0:1]", 429, "too many unauthenticated connections from your address: limits.unauthenticated_per_address is 2"},
		"another /64":  {broker.Limits{UnauthenticatedPerAddress: 2}, []string{"[2001:db8::1]", "[2001:db8::2]"}, "[2001:db8:0:1::1]", 101, ""},
		"mapped IPv4":  {broker.Limits{UnauthenticatedPerAddress: 2}, []string{"[::ffff:192.0.2.1]", "192.0.2.1"}, "[::ffff:192.0.2.1]", 429, "too many unauthenticated connections from your address: limits.unauthenticated_per_address is 2"},
		"switched off": {broker.Limits{Unauthenticated: -1, UnauthenticatedPerAddress: -1}, strings.Fields(strings.Repeat("192.0.2.1 ", 2000)), "192.0.2.1", 101, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{Limits: tc.limits})
			held := make([]broker.Admission, len(tc.addresses))
			for i, address := range tc.addresses {
				var err error
				if held[i], err = b.Admit(request("GET", "/ws", address+":1")); err != nil {
					t.Fatal(err)
				}
			}
			if got := admitted(t, b, request("GET", "/ws", tc.more+":2")); got != tc.status {
				t.Errorf("one more gets %d, want %d", got, tc.status)
			}
			if tc.status == 429 {
				w := httptest.NewRecorder()
				b.ServeHTTP(w, request("GET", "/ws", tc.more+":2"))
				if w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), `"`+tc.text+`"`) {
					t.Errorf("it is told %s, Retry-After %q", w.Body, w.Header().Get("Retry-After"))
				}
			}
			held[0].Release()
			if got := admitted(t, b, request("GET", "/ws", tc.more+":2")); got != 101 && name != "another one" {
				t.Errorf("after one has left: %d", got)
			}
			for i := range held {
				held[i].Release()
			}
			if all, addresses := b.Places(); all != 0 || addresses != 0 {
				t.Errorf("%d places of %d addresses are left", all, addresses)
			}
		})
	}
}

// Only trusted proxies are believed, and only as far as they reach.
func TestForwardedFor(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}
	for name, tc := range map[string]struct {
		remote    string
		forwarded []string
		want      string
	}{
		"no proxy":             {"192.0.2.1:5", nil, "192.0.2.1:5"},
		"a stranger says so":   {"192.0.2.1:5", []string{"198.51.100.7"}, "192.0.2.1:5"},
		"one proxy":            {"10.0.0.1:5", []string{"198.51.100.7"}, "198.51.100.7:0"},
		"two proxies":          {"10.0.0.1:5", []string{"198.51.100.7, 10.9.9.9"}, "198.51.100.7:0"},
		"spoofed before":       {"10.0.0.1:5", []string{"127.0.0.1, 198.51.100.7"}, "198.51.100.7:0"},
		"spoofed as a proxy":   {"10.0.0.1:5", []string{"203.0.113.9, 10.1.1.1, 198.51.100.7"}, "198.51.100.7:0"},
		"spoofed in a header":  {"10.0.0.1:5", []string{"203.0.113.9", "198.51.100.7"}, "198.51.100.7:0"},
		"rubbish before":       {"10.0.0.1:5", []string{"<script>, 198.51.100.7"}, "198.51.100.7:0"},
		"rubbish":              {"10.0.0.1:5", []string{"unknown"}, "10.0.0.1:5"},
		"rubbish in the chain": {"10.0.0.1:5", []string{"198.51.100.7, unknown, 10.9.9.9"}, "10.9.9.9:0"},
		"empty":                {"10.0.0.1:5", []string{""}, "10.0.0.1:5"},
		"all proxies":          {"10.0.0.1:5", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3:0"},
		"IPv6 client":          {"10.0.0.1:5", []string{"2001:db8:2::7"}, "[2001:db8:2::7]:0"},
		"IPv6 proxy":           {"[2001:db8:1::1]:5", []string{"198.51.100.7"}, "198.51.100.7:0"},
		"mapped proxy":         {"[::ffff:10.0.0.1]:5", []string{"198.51.100.7"}, "198.51.100.7:0"},
	} {
		t.Run(name, func(t *testing.T) {
			var seen netip.AddrPort
			b := brokertest.New(t, broker.Options{TrustedProxies: proxies, Authenticator: auth.AuthenticatorFunc(
				func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
					seen = a.Remote
					return nil, auth.ErrNotMine
				})})
			var headers []string
			for _, f := range tc.forwarded {
				headers = append(headers, "X-Forwarded-For", f)
			}
			if got := admitted(t, b, request("GET", "/ws", tc.remote, headers...)); got != 101 {
				t.Fatal(got)
			}
			if seen.String() != tc.want {
				t.Errorf("taken for %v, want %s", seen, tc.want)
			}
		})
	}
}

func TestDrainingRefusesHandshakes(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	if err := b.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, request("GET", "/ws?ticket=x", "192.0.2.1:1"))
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" || strings.TrimSpace(w.Body.String()) != `{"error":"draining"}` {
		t.Errorf("answered with %d %s, Retry-After %q", w.Code, w.Body, w.Header().Get("Retry-After"))
	}
}
