package broker_test

import (
	"crypto/tls"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"bufio"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

// done waits for a signal that work in a session's reader gives.
func done(t *testing.T, what string, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatalf("%s did not run", what)
	}
}

// Work of others runs in the reader of a session that waits for its client, and
// nothing of what the client sends is lost, not even half a frame.
func TestWorkRunsInTheReaderOfAnIdleSession(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{Authenticator: auth.Anonymous})
	secure := httptest.NewTLSServer(srv.Broker)
	t.Cleanup(secure.Close)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Broker.ServeTCP(tls.NewListener(plain, secure.TLS)) }() // ends with the broker
	overTLS := func(t *testing.T) *peer {
		nc, err := tls.Dial("tcp", plain.Addr().String(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a certificate of the test
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nc.Close() })
		return newPeer(nc, bufio.NewReader(nc), false)
	}
	for name, dial := range map[string]func(*testing.T) *peer{
		"websocket": func(t *testing.T) *peer { return rawWebSocket(t, srv) },
		"tcp":       func(t *testing.T) *peer { return rawTCP(t, srv) },
		"tls":       overTLS,
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t).connect(t, "heart-beat", "0,0")
			c.subscribe(t, "1", "/topic/"+name)
			for round := range 20 {
				ran := make(chan struct{})
				srv.Broker.Do(c.session, func() { close(ran) })
				done(t, "the work of an idle session", ran)
				f := frame("SEND", "hello", "destination", "/topic/"+name)
				encoded := frames.Append(nil, frames.V12, &f)
				cut := 1 + round%(len(encoded)-1)
				c.octets(t, encoded[:cut])
				ran = make(chan struct{})
				srv.Broker.Do(c.session, func() { close(ran) })
				done(t, "the work of a session with half a frame", ran)
				c.octets(t, encoded[cut:])
				if e := c.next(t); e.what != "MESSAGE" || string(e.f.Body) != "hello" {
					t.Fatalf("round %d: %v", round, e)
				}
			}
			c.send(t, "DISCONNECT", "", "receipt", "bye")
			c.receipt(t, "bye")
		})
	}
}

// A transport from outside cannot be woken: the work runs when its client is
// heard.
func TestWorkRunsWhenATransportIsHeard(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	c := brokertest.Connect(t, b)
	ran := make(chan struct{})
	b.Do(c.Session, func() { close(ran) })
	c.Sync(t)
	done(t, "the work", ran)
}
