package broker_test

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

// One message to subscribers over every kind of connection, who share encoded
// frames as far as they can: each receives what the others do.
func TestOneMessageOverAllTransports(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{})
	memory := srv.Connect(t)
	memory.Subscribe(t, "sub-0", "/topic/a")
	tcp, web, other := dialTCP(t, srv), dialWebSocket(t, srv), dialWebSocket(t, srv)
	for _, c := range []*socket{tcp, web, other} {
		c.send(t, frame("SUBSCRIBE", "", "id", "sub-0", "destination", "/topic/a", "receipt", "1"))
		if f := c.next(t); f.Command != "RECEIPT" {
			t.Fatalf("got %v", f)
		}
	}
	for name, tc := range map[string]struct {
		body   []byte
		binary bool
	}{
		"text": {[]byte("grüße"), false}, "empty": {nil, false}, "not UTF-8": {[]byte{0xff, 0}, true}, // trap 43
		"126 octets and more": {bytes.Repeat([]byte("x"), 200), false}, "64 KiB and more": {bytes.Repeat([]byte("x"), 70_000), false},
	} {
		t.Run(name, func(t *testing.T) {
			publish(t, srv.Broker, "/topic/a", string(tc.body))
			want := expectMessage(t, memory, string(tc.body))
			for _, c := range []*socket{tcp, web, other} {
				f := c.next(t)
				if f.Command != "MESSAGE" || !bytes.Equal(f.Body, tc.body) {
					t.Fatalf("got %s of %d bytes", f.Command, len(f.Body))
				}
				for i, h := range want.Headers {
					if f.Headers[i] != h {
						t.Errorf("header %v, in memory it was %v", f.Headers[i], h)
					}
				}
				if c.web != nil && c.binary != tc.binary {
					t.Errorf("came as a binary message: %v", c.binary)
				}
			}
		})
	}
	kinds := make(map[string]int)
	for s := range srv.Broker.Sessions() {
		kinds[s.Transport]++
	}
	if kinds["transport"] != 1 || kinds["tcp"] != 1 || kinds["websocket"] != 2 {
		t.Errorf("transports are %v", kinds)
	}
}

// Trap 42: many frames may come in one WebSocket message and one in many, but
// each frame goes out in a message of its own.
func TestWebSocketMessageBoundaries(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{})
	c := dialWebSocket(t, srv)
	octets := encode(
		frame("SUBSCRIBE", "", "id", "s", "destination", "/topic/a", "receipt", "1"),
		frame("SEND", "x", "destination", "/topic/a", "receipt", "2"),
		frame("SEND", "y", "destination", "/topic/a"),
	)
	for _, size := range []int{1, 7, len(octets)} {
		for chunk := range bytesChunks(octets, size) {
			c.write(t, chunk)
		}
		for _, want := range []string{"RECEIPT", "MESSAGE", "RECEIPT", "MESSAGE"} {
			if f := c.next(t); f.Command != want { // next fails unless it was alone in its message
				t.Fatalf("got %s %v, want %s", f.Command, f.Headers, want)
			}
		}
		c.send(t, frame("UNSUBSCRIBE", "", "id", "s"))
	}
}

func bytesChunks(p []byte, size int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(p) > 0 {
			n := min(size, len(p))
			if !yield(p[:n]) {
				return
			}
			p = p[n:]
		}
	}
}

// socket is a client over a real connection, with STOMP 1.2.
type socket struct {
	tcp    net.Conn
	web    *websocket.Conn
	dec    frames.Decoder
	binary bool // the last WebSocket message was
}

func dialTCP(t *testing.T, srv *brokertest.Server, headers ...string) *socket {
	t.Helper()
	conn, err := net.Dial("tcp", srv.TCP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &socket{tcp: conn}
	c.connect(t, headers...)
	return c
}

func dialWebSocket(t *testing.T, srv *brokertest.Server) *socket {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(1 << 20)
	t.Cleanup(func() { _ = conn.CloseNow() })
	c := &socket{web: conn}
	c.connect(t)
	return c
}

func (c *socket) connect(t *testing.T, headers ...string) {
	t.Helper()
	c.dec.SetLimits(frames.Limits{Frame: -1, Headers: -1, HeaderBytes: -1})
	c.send(t, frame("CONNECT", "", append([]string{"accept-version", "1.2", "heart-beat", "0,0"}, headers...)...))
	if f := c.next(t); f.Command != "CONNECTED" {
		t.Fatalf("got %v", f)
	}
	c.dec.SetVersion(frames.V12)
}

func (c *socket) send(t *testing.T, f frames.Frame) {
	t.Helper()
	c.write(t, encode(f))
}

func (c *socket) write(t *testing.T, p []byte) {
	t.Helper()
	var err error
	if c.web != nil {
		err = c.web.Write(t.Context(), websocket.MessageBinary, p)
	} else {
		_, err = c.tcp.Write(p)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// next reads one frame; over WebSocket it must be a message of its own.
func (c *socket) next(t *testing.T) *frames.Frame {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if c.web != nil {
		kind, p, err := c.web.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		c.binary = kind == websocket.MessageBinary
		c.dec.Feed(p)
		f, ok, err := c.dec.Next()
		if !ok || err != nil {
			t.Fatalf("a WebSocket message is no whole frame: %q, %v", p, err)
		}
		f = f.Clone()
		if more, ok, err := c.dec.Next(); ok || err != nil {
			t.Fatalf("a WebSocket message holds more than one frame: %v, %v", more, err)
		}
		return f
	}
	buf := make([]byte, 64<<10)
	for {
		f, ok, err := c.dec.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			return f.Clone()
		}
		if err := c.tcp.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, err := c.tcp.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		c.dec.Feed(buf[:n])
	}
}
