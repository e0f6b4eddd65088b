package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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
