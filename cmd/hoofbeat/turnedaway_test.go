//go:build unix

package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// wantEntry waits for a warning that has all of what an operator needs.
func wantEntry(t *testing.T, s *server, message string, want map[string]any) {
	t.Helper()
	e := s.Logged(t, message, 1)
	if e["level"] != "WARN" {
		t.Errorf("%q has level %v", message, e["level"])
	}
	for key, value := range want {
		text := fmt.Sprint(e[key])
		if _, exact := value.(int); exact && text != fmt.Sprint(value) || !strings.Contains(text, fmt.Sprint(value)) {
			t.Errorf("%q: %s is %q, want %q", message, key, text, value)
		}
	}
}

func basic(login, passcode string) http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(login+":"+passcode))}}
}

var handshakeHeader = http.Header{
	"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
}

// "Ann cannot connect": whatever turns her away at the door has a line that says
// why, and no line has her credential in it.
func TestLogSaysWhoWasTurnedAwayAndWhy(t *testing.T) {
	const secret = "secret-of-the-test"
	for name, tc := range map[string]struct {
		config  string
		do      func(t *testing.T, s *server) // what goes wrong
		message string
		want    map[string]any
	}{
		"ticket without a credential": {"", func(t *testing.T, s *server) { send(t, http.DefaultClient, "POST", s.web()+"/ws_ticket", nil, "") },
			"ticket refused", map[string]any{"status": 401, "credential": "none", "remote": "127.0.0.1", "hint": "has no credential"}},
		"ticket with a wrong passcode": {"", func(t *testing.T, s *server) {
			send(t, http.DefaultClient, "POST", s.web()+"/ws_ticket", basic("ann", secret), "")
		}, "ticket refused", map[string]any{"status": 401, "credential": "basic", "login": "ann", "error": "the login or the passcode is wrong"}},
		"ticket with a token that nobody knows": {"", func(t *testing.T, s *server) {
			send(t, http.DefaultClient, "POST", s.web()+"/ws_ticket", bearerHeader(secret), "")
		}, "ticket refused", map[string]any{"status": 401, "credential": "bearer", "hint": "auth.jwt, auth.introspection and auth.userinfo are not set"}},
		"ticket with a wrong token": {`jwt: [{issuer: "https://login.example.com", audience: broker, user_prefix: "login:"}]`, func(t *testing.T, s *server) {
			send(t, http.DefaultClient, "POST", s.web()+"/ws_ticket", bearerHeader(secret), "")
		}, "ticket refused", map[string]any{"status": 401, "credential": "bearer", "error": "of no configured issuer"}},
		"token in the URL of the ticket": {"", func(t *testing.T, s *server) {
			send(t, http.DefaultClient, "POST", s.web()+"/ws_ticket?access_token="+secret, nil, "")
		}, "ticket refused", map[string]any{"status": 400, "hint": "Authorization: Bearer"}},
		"token in the URL of the socket": {"", func(t *testing.T, s *server) {
			refused(t, http.StatusBadRequest, s.url+"?access_token="+secret, client.Options{})
		}, "handshake refused", map[string]any{"error": "its place is the Authorization header", "remote": "127.0.0.1"}},
		"another path": {"", func(t *testing.T, s *server) {
			refused(t, http.StatusNotFound, s.url+"-stomp?ticket="+secret, client.Options{})
		}, "a client asked for a path that is not served", map[string]any{"path": "/ws-stomp", "endpoint": "/ws", "key": "websocket.path"}},
		"a path below the endpoint": {"", func(t *testing.T, s *server) {
			refused(t, http.StatusNotFound, s.url+"/stomp", client.Options{})
		}, "a client asked for a path that is not served", map[string]any{"path": "/ws/stomp", "endpoint": "/ws"}},
		"SockJS at another path": {"", func(t *testing.T, s *server) { get(t, s.web()+"/sockjs/info?t=1") },
			"a client asked for a path that is not served", map[string]any{"path": "/sockjs/info"}},
		"a proxy that drops Upgrade": {"", func(t *testing.T, s *server) {
			send(t, http.DefaultClient, "GET", s.web()+"/ws", http.Header{"Sec-Websocket-Key": handshakeHeader["Sec-Websocket-Key"]}, "")
		}, "a WebSocket handshake came without its Upgrade header", map[string]any{"path": "/ws", "hint": "a proxy"}},
		"a broken handshake": {"", func(t *testing.T, s *server) {
			send(t, http.DefaultClient, "GET", s.web()+"/ws", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}, "")
		}, "handshake refused", map[string]any{"remote": "127.0.0.1", "hint": "a proxy"}},
		"the admin listener": {"", func(t *testing.T, s *server) {
			send(t, http.DefaultClient, "GET", s.admin+"/ws", handshakeHeader, "")
		}, "a client tried to connect to the admin listener", map[string]any{"endpoint": "/ws", "key": "listen"}},
		"TLS to the plain port": {"", func(t *testing.T, s *server) { sayTLS(t, strings.TrimPrefix(s.web(), "http://")) },
			"a client spoke TLS to a plain-text listener", map[string]any{"listener": "listen", "hint": "use ws:// or http://, or configure tls.cert and tls.key"}},
		"STOMP to the WebSocket port": {"", func(t *testing.T, s *server) {
			say(t, strings.TrimPrefix(s.web(), "http://"), []byte("CONNECT\naccept-version:1.2\nlogin:ann\npasscode:"+secret+"\n\n\x00"))
		}, "a client spoke STOMP without a WebSocket", map[string]any{"listener": "listen", "remote": "127.0.0.1", "hint": "use ws://"}},
		"a version that nobody speaks": {"", func(t *testing.T, s *server) {
			say(t, strings.TrimPrefix(s.tcp, "tcp://"), []byte("CONNECT\naccept-version:3.0\nlogin:ann\npasscode:"+secret+"\n\n\x00"))
		}, "session ended", map[string]any{"reason": "protocol-error", "detail": "supported versions are 1.0,1.1,1.2", "remote": "127.0.0.1"}},
		"TLS to the admin port": {"", func(t *testing.T, s *server) { sayTLS(t, strings.TrimPrefix(s.admin, "http://")) },
			"a client spoke TLS to a plain-text listener", map[string]any{"listener": "admin", "hint": "use http://"}},
		"TLS to the TCP port": {"", func(t *testing.T, s *server) { sayTLS(t, strings.TrimPrefix(s.tcp, "tcp://")) },
			"a client spoke TLS to a plain-text listener", map[string]any{"listener": "tcp", "hint": "use tcp://"}},
		"HTTP to the TCP port": {"", func(t *testing.T, s *server) {
			say(t, strings.TrimPrefix(s.tcp, "tcp://"), []byte("GET /ws HTTP/1.1\r\nHost: a\r\n\r\n"))
		}, "a client spoke HTTP to the STOMP listener", map[string]any{"listener": "tcp"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			users := write(t, "users.yaml", user(t, "ann", "right"))
			s := serve(t, nil, "-c", write(t, "hoofbeat.yaml", fmt.Sprintf("auth:\n  users: {file: %q}\n  %s\n", users, tc.config)))
			tc.do(t, s)
			wantEntry(t, s, tc.message, tc.want)
			if strings.Contains(s.Stderr(), secret) || strings.Contains(s.Stderr(), base64.StdEncoding.EncodeToString([]byte("ann:"+secret))) {
				t.Error("the log has a credential in it")
			}
		})
	}
}

// say sends bytes and waits until the connection is closed.
func say(t *testing.T, address string, p []byte) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second)) // a failure shows in the log
	_, _ = io.Copy(io.Discard, c)                           // the end, or a reset
}

// sayTLS sends the beginning of a ClientHello, and what a plain-text server takes
// for the end of the line.
func sayTLS(t *testing.T, address string) {
	t.Helper()
	say(t, address, append([]byte{0x16, 3, 1, 0, 20, 1, 0, 0, 16, 3, 3}, []byte("\r\n\r\n0123456789\r\n\r\n")...))
}

// A client that speaks plain HTTP to the port of TLS is told apart from health
// checks, which say nothing.
func TestLogOfFailedTLSHandshakes(t *testing.T) {
	dir := t.TempDir()
	cert, key := dir+"/cert.pem", dir+"/key.pem"
	newCertificate(t, cert, key)
	s := serve(t, nil, "--tls-cert", cert, "--tls-key", key)
	address := strings.TrimSuffix(strings.TrimPrefix(s.url, "wss://"), "/ws")
	if c, err := net.Dial("tcp", address); err != nil { // a health check
		t.Fatal(err)
	} else if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	say(t, address, []byte("GET /ws HTTP/1.1\r\nHost: a\r\n\r\n"))
	wantEntry(t, s, "TLS handshake failed", map[string]any{"listener": "listen", "remote": "127.0.0.1", "hint": "use wss:// or https://"})
	if n := len(s.Log("TLS handshake failed")); n != 1 {
		t.Errorf("%d warnings, want 1", n)
	}
}

// One address does not fill the log, and a page that does not exist is no warning.
func TestLogOfWrongPathsIsLimited(t *testing.T) {
	s := serve(t, nil)
	get(t, s.web()+"/favicon.ico")
	since := time.Now()
	const tries = 50
	for range tries {
		get(t, s.web()+"/sockjs/info")
	}
	const text = "a client asked for a path that is not served"
	first := s.Logged(t, text, 1)
	if first["path"] != "/sockjs/info" {
		t.Errorf("the first warning is about %v", first["path"])
	}
	if n, most := len(s.Log(text)), int(time.Since(since)/time.Second)+2; n > most {
		t.Errorf("%d lines for %d requests, want at most %d", n, tries, most)
	}
}

// A backend that does not know the broker's secret answers 401 to every question.
func TestLogSaysThatTheWebhookRefusesTheBroker(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(b.Close)
		s := serve(t, []string{"HOOFBEAT_AUTH_WEBHOOK_URL=" + b.URL + "?k=secret-of-the-test", "HOOFBEAT_AUTH_WEBHOOK_SECRET=secret-of-the-test"})
		if _, err := dial(t, s.url, client.Options{Login: "ann", Passcode: "secret-of-the-test"}); err == nil {
			t.Fatal("let in")
		}
		wantEntry(t, s, "the webhook's backend answers as to a stranger, and the client is refused",
			map[string]any{"status": status, "key": "auth.webhook.secret", "hint": "is the secret the same on both sides?", "url": b.URL})
		if strings.Contains(s.Stderr(), "secret-of-the-test") {
			t.Error("the log has a secret in it")
		}
	}
}
