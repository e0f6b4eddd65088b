package broker_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

// overrun publishes to /topic/flood until the one session is ended as slow. It
// has got message 0 before.
func overrun(t *testing.T, b *broker.Broker) {
	t.Helper()
	body := strings.Repeat("x", 60_000)
	for n := 1; b.Stats().Ended["slow-consumer"] == 0; n++ {
		if n > 2000 { // 120 MB, many times what a kernel keeps
			t.Fatal("the client was not ended as a slow consumer")
		}
		publish(t, b, "/topic/flood", fmt.Sprintf("%d %s", n, body))
	}
}

// checker takes the frames of a client that was overrun: messages without a gap,
// then the ERROR.
type checker struct {
	dec      frames.Decoder
	messages int
	failed   bool
}

func (c *checker) feed(t *testing.T, p []byte) {
	t.Helper()
	c.dec.Feed(p)
	for {
		f, ok, err := c.dec.Next()
		if err != nil {
			t.Fatalf("after %d messages came what is no frame: %v", c.messages, err)
		}
		if !ok {
			return
		}
		switch {
		case f.Command == "MESSAGE" && bytes.HasPrefix(f.Body, fmt.Appendf(nil, "%d ", c.messages)) && !c.failed:
			c.messages++
		case f.Command == "ERROR" && f.Get("message") == fmt.Sprintf("more than %d bytes are waiting to be read by you (limits.outbox)", 256<<10):
			c.failed = true
		default:
			t.Fatalf("after %d messages came %s %v", c.messages, f.Command, f.Headers)
		}
	}
}

func newChecker() *checker {
	c := &checker{}
	c.dec.SetLimits(frames.Limits{Frame: -1, Headers: -1, HeaderBytes: -1})
	c.dec.SetVersion(frames.V12)
	return c
}

var hello = encode(
	frame("CONNECT", "", "accept-version", "1.2", "heart-beat", "0,0"),
	frame("SUBSCRIBE", "", "id", "1", "destination", "/topic/flood", "receipt", "1"),
)

// A real WebSocket client that does not read is overrun, and then reads again:
// the frame that was half out is whole, and the client is told why it was ended.
func TestOverrunWebSocketIsToldWhy(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "ws", true: "wss"}[secure], func(t *testing.T) {
			b := brokertest.New(t, broker.Options{Limits: broker.Limits{Outbox: 256 << 10}, LingerTimeout: patience, HeartBeat: heartBeat(-1, -1)})
			srv := httptest.NewUnstartedServer(b)
			if secure {
				srv.StartTLS()
			} else {
				srv.Start()
			}
			t.Cleanup(srv.Close)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			ws, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(srv.URL, "http"), &websocket.DialOptions{HTTPClient: srv.Client()})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = ws.CloseNow() }()
			ws.SetReadLimit(-1)
			if err := ws.Write(ctx, websocket.MessageText, hello); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, _, err := ws.Read(ctx); err != nil {
					t.Fatal(err)
				}
			}
			c := newChecker()
			publish(t, b, "/topic/flood", "0 ")
			_, p, err := ws.Read(ctx)
			if err != nil {
				t.Fatal(err)
			}
			c.feed(t, p)
			overrun(t, b)
			for {
				_, p, err := ws.Read(ctx)
				if err != nil {
					var closed websocket.CloseError
					if !errors.As(err, &closed) || closed.Code != 4500 || closed.Reason != "slow-consumer" || !c.failed {
						t.Errorf("after %d messages, ERROR %v, the client saw: %v", c.messages, c.failed, err)
					}
					break
				}
				c.feed(t, p)
			}
			if c.messages == 0 {
				t.Error("no message came before the end")
			}
		})
	}
}

// The same over TCP and TLS: the ERROR, and an end that is no reset.
func TestOverrunTCPIsToldWhy(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "TCP", true: "TLS"}[secure], func(t *testing.T) {
			b := brokertest.New(t, broker.Options{Limits: broker.Limits{Outbox: 256 << 10}, LingerTimeout: patience, HeartBeat: heartBeat(-1, -1)})
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			address := l.Addr().String()
			var config *tls.Config
			if secure {
				srv := httptest.NewTLSServer(nil) // for its certificate
				t.Cleanup(srv.Close)
				l = tls.NewListener(l, srv.TLS)
				config = srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
				config.ServerName = "example.com" // which the certificate is for
			}
			go func() { _ = b.ServeTCP(l) }() // ends with the broker
			nc, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = nc.Close() }()
			if secure {
				nc = tls.Client(nc, config)
			}
			_ = nc.SetDeadline(time.Now().Add(patience)) // a failure shows at the read
			if _, err := nc.Write(hello); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(nc)
			for range 2 {
				if _, err := r.ReadBytes(0); err != nil {
					t.Fatal(err)
				}
			}
			c := newChecker()
			publish(t, b, "/topic/flood", "0 ")
			first, err := r.ReadBytes(0)
			if err != nil {
				t.Fatal(err)
			}
			c.feed(t, first)
			overrun(t, b)
			for p := make([]byte, 64<<10); ; {
				n, err := r.Read(p)
				c.feed(t, p[:n])
				if err != nil {
					if err != io.EOF || !c.failed || c.messages == 0 {
						t.Errorf("after %d messages, ERROR %v, the stream ended with %v", c.messages, c.failed, err)
					}
					break
				}
			}
		})
	}
}
