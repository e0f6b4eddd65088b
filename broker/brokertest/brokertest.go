// Package brokertest helps programs test against a broker: it starts one on
// ports that the system chooses, connects to it in memory, and waits for
// conditions.
//
//	srv := brokertest.Start(t, broker.Options{})
//	c := srv.Connect(t, "login", "alice")
//	c.Subscribe(t, "s1", "/topic/news")
//	srv.Broker.Publish(ctx, &broker.Message{Destination: "/topic/news", Body: []byte("hi")})
//	m := c.Expect(t, "MESSAGE")
package brokertest

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
)

// Server is a broker with its listeners, all on loopback ports that the system
// chose. It stops when its test ends.
type Server struct {
	Broker *broker.Broker
	HTTP   *httptest.Server
	// URL is the WebSocket endpoint, ws://127.0.0.1:port/ws.
	URL string
	// TCP is the address of the plain STOMP listener.
	TCP string
}

// Start starts a broker with WebSocket and TCP listeners. A nil Authenticator
// defaults to auth.TrustLogin, which does not check logins, and a nil
// Authorizer to auth.Open, which allows everything except other users'
// destinations.
func Start(t testing.TB, o broker.Options) *Server {
	t.Helper()
	b := New(t, o)
	mux := http.NewServeMux()
	mux.Handle("/ws", b)
	hs := httptest.NewServer(mux)
	t.Cleanup(hs.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	served := make(chan error, 1)
	go func() { served <- b.ServeTCP(l) }()
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		select {
		case err := <-served:
			if err != nil && !errors.Is(err, broker.ErrClosed) {
				t.Errorf("ServeTCP: %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("ServeTCP goes on after Close")
		}
	})
	return &Server{Broker: b, HTTP: hs, URL: "ws" + strings.TrimPrefix(hs.URL, "http") + "/ws", TCP: l.Addr().String()}
}

// New creates a broker without listeners, for tests that connect only in
// memory. It has the same defaults as Start and works inside a testing/synctest
// bubble.
func New(t testing.TB, o broker.Options) *broker.Broker {
	t.Helper()
	if o.Authenticator == nil {
		o.Authenticator = auth.TrustLogin
	}
	if o.Authorizer == nil {
		o.Authorizer = auth.Open()
	}
	b, err := broker.New(o)
	if err != nil {
		t.Fatalf("broker.New: %v", err)
	}
	if q, ok := o.QueueStore.(quieter); ok {
		quieters.Store(b, q)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		quieters.Delete(b)
	})
	return b
}

// quieter is a broker.QueueStore that can wait until it has handed over what was
// asked for.
type quieter interface{ Quiet() }

// quieters are those of the brokers that New made.
var quieters sync.Map // *broker.Broker to quieter

// Connect connects a client in memory and waits for CONNECTED. See [Connect].
func (s *Server) Connect(t testing.TB, headers ...string) *Client {
	t.Helper()
	return Connect(t, s.Broker, headers...)
}

// Eventually waits up to a minute until ok returns true. Otherwise it fails the
// test with what.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for pause := time.Millisecond; !ok(); pause = min(2*pause, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(pause)
	}
}
