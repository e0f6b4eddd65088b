package wsconn

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// dial connects a foreign client, over TLS or not.
func dial(t testing.TB, secure bool) (*Conn, *websocket.Conn) {
	t.Helper()
	conns := make(chan *Conn, 1)
	s := httptest.NewUnstartedServer(upgrader(t, conns, false))
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	peer, response, err := websocket.Dial(t.Context(), s.URL, &websocket.DialOptions{
		HTTPClient:      s.Client(),
		Subprotocols:    []string{"v10.stomp", "v12.stomp"},
		CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.CloseNow() })
	if peer.Subprotocol() != "v12.stomp" || response.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Errorf("sub-protocol %q, headers %v", peer.Subprotocol(), response.Header)
	}
	c := wait(t, conns)
	t.Cleanup(func() { c.Close() })
	return c, peer
}

func bothWays(t *testing.T, f func(t *testing.T, c *Conn, peer *websocket.Conn)) {
	for name, secure := range map[string]bool{"tcp": false, "tls": true} {
		t.Run(name, func(t *testing.T) {
			c, peer := dial(t, secure)
			if (c.TLS() != nil) != secure || c.CanTry() == secure || !c.RemoteAddr().Addr().IsLoopback() {
				t.Errorf("TLS %v, CanTry %v, from %v", c.TLS() != nil, c.CanTry(), c.RemoteAddr())
			}
			f(t, c, peer)
		})
	}
}

// echo answers as the broker's outbox would: messages, then pongs, in order.
type echo struct {
	c   *Conn
	out []byte
}

func (e *echo) Data(p []byte) error {
	e.out = append(AppendHeader(e.out, false, len(p)), p...)
	return nil
}
func (e *echo) Ping(p []byte) { e.out = AppendPong(e.out, p) }
func (e *echo) Pong()         {}
func (e *echo) Batch() error {
	n, err := e.c.TryWrite(e.out)
	if err == nil && n < len(e.out) {
		_, err = e.c.Write(e.out[n:])
	}
	e.out = e.out[:0]
	return err
}

func TestForeignClient(t *testing.T) {
	bothWays(t, func(t *testing.T, c *Conn, peer *websocket.Conn) {
		end := make(chan error, 1)
		go func() { end <- c.Receive(&echo{c: c}) }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, s := range []string{"hello", "ä€😀", strings.Repeat("x", 300)} {
			if err := peer.Write(ctx, websocket.MessageText, []byte(s)); err != nil {
				t.Fatal(err)
			}
			if kind, got, err := peer.Read(ctx); err != nil || kind != websocket.MessageText || string(got) != s {
				t.Fatalf("%v, %q, %v", kind, got, err)
			}
		}
		reading := peer.CloseRead(ctx) // the client reads pongs only within a read
		if err := peer.Ping(ctx); err != nil {
			t.Fatal(err)
		}
		closing := make(chan error, 1)
		go func() { closing <- peer.Close(4001, "bye") }()
		if got := describe(wait(t, end)); got != `close 4001 "bye"` {
			t.Fatalf("ended with %s", got)
		}
		c.Write(AppendClose(nil, 4001, ""))
		c.Close()
		wait(t, closing)
		testkit.Receive(t, reading.Done())
	})
}

// ERROR, CLOSE, half-close, drain: the client sees all of it, though it keeps
// sending.
func TestGoodbye(t *testing.T) {
	bothWays(t, func(t *testing.T, c *Conn, peer *websocket.Conn) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		peer.Write(ctx, websocket.MessageText, make([]byte, 1000))
		b := append(AppendHeader(nil, false, 5), "ERROR"...)
		b = AppendClose(b, 1002, strings.Repeat("why ", 50))
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(time.Minute))
		end := make(chan error, 1)
		go func() { end <- c.Conn.Receive(func([]byte) error { return nil }) }()
		if _, got, err := peer.Read(ctx); err != nil || string(got) != "ERROR" {
			t.Fatalf("%q, %v", got, err)
		}
		_, _, err := peer.Read(ctx)
		closed, ok := errors.AsType[websocket.CloseError](err)
		if !ok || closed.Code != 1002 || len(closed.Reason) != 123 {
			t.Fatalf("%v", err)
		}
		if err := wait(t, end); err != io.EOF {
			t.Fatalf("drained until %v", err)
		}
	})
}

func TestReceiveIsWoken(t *testing.T) {
	for name, stop := range map[string]struct {
		do   func(c *Conn)
		want error
	}{
		"close":    {func(c *Conn) { c.Close() }, net.ErrClosed},
		"abort":    {func(c *Conn) { c.Abort() }, net.ErrClosed},
		"deadline": {func(c *Conn) { c.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, c *Conn, peer *websocket.Conn) {
				end, busy := make(chan error, 1), make(chan bool, 1)
				go func() {
					end <- c.Receive(&heard{onBatch: func() error { busy <- true; return nil }})
				}()
				peer.Write(t.Context(), websocket.MessageText, []byte("x"))
				wait(t, busy)
				stop.do(c)
				if err := wait(t, end); !errors.Is(err, stop.want) {
					t.Errorf("ended with %v, want %v", err, stop.want)
				}
			})
		})
	}
}
