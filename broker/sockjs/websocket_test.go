package sockjs_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/sockjs"
	"github.com/hoofbeat/hoofbeat/frames"
)

// webSocket is a client of the websocket transport.
type webSocket struct {
	*websocket.Conn
	t *testing.T
}

// dial opens a WebSocket in a bubble.
func (w *world) dial(path string) *webSocket {
	w.t.Helper()
	c, _, err := websocket.Dial(context.Background(), "ws://example.com/ws"+path, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: w.net.dial(w.from)}}, HTTPHeader: w.header,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	c.SetReadLimit(1 << 20)
	w.t.Cleanup(func() { _ = c.CloseNow() })
	return &webSocket{c, w.t}
}

func (c *webSocket) next() string {
	c.t.Helper()
	kind, p, err := c.Read(context.Background())
	if err != nil {
		c.t.Fatal(err)
	}
	if kind != websocket.MessageText {
		c.t.Errorf("a message is binary: %q", p)
	}
	return string(p)
}

func (c *webSocket) want(frame string) {
	c.t.Helper()
	if got := c.next(); got != frame {
		c.t.Errorf("got %q, want %q", got, frame)
	}
}

func (c *webSocket) send(message string) {
	c.t.Helper()
	if err := c.Write(context.Background(), websocket.MessageText, []byte(message)); err != nil {
		c.t.Fatal(err)
	}
}

// connected opens a session and lets it CONNECT.
func (w *world) webSocket(heartBeat string) *webSocket {
	w.t.Helper()
	c := w.dial("/000/a/websocket")
	c.want("o")
	c.send(strings.ReplaceAll(connect, "0,0", heartBeat))
	if f := c.next(); !strings.HasPrefix(f, `a["CONNECTED\n`) {
		w.t.Fatalf("got %q", f)
	}
	return c
}

func (c *webSocket) closed() websocket.StatusCode {
	c.t.Helper()
	_, p, err := c.Read(context.Background())
	if err == nil {
		c.t.Fatalf("got %q, want the end", p)
	}
	return websocket.CloseStatus(err)
}

func TestWebSocket(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		c := w.webSocket("0,0")
		c.send("") // is ignored
		c.send("[]")
		c.send(`["SUBSCRIBE\nid:s\ndestination:/topic/a\nreceipt:1\n","\n\u0000"]`)
		c.want(`a["RECEIPT\nreceipt-id:1\n\n\u0000"]`)
		w.publish([]byte("\"é🐎\\\x7f"))
		if f := c.next(); !strings.HasSuffix(f, `\n\n\"é🐎\\`+"\x7f"+`\u0000"]`) {
			t.Errorf("got %q", f)
		}
		w.dial("/000/a/websocket").want("o") // the same id is another session
		c.send(`["DISCONNECT\nreceipt:2\n\n\u0000"]`)
		c.want(`a["RECEIPT\nreceipt-id:2\n\n\u0000"]`)
		c.want(`c[3000,"Go away!"]`)
		if code := c.closed(); code != 1000 {
			t.Errorf("closed with %d", code)
		}
		if e := w.ended(); e["disconnect"] != 1 {
			t.Errorf("ended %v", e)
		}
	})
}

func TestWebSocketEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		kind    websocket.MessageType
		message string
		frame   string
		code    websocket.StatusCode
	}{
		"broken JSON":     {websocket.MessageText, `["a`, `c[1002,"protocol-error"]`, 1002},
		"no array":        {websocket.MessageText, `"a"`, `c[1002,"protocol-error"]`, 1002},
		"binary":          {websocket.MessageBinary, `["a"]`, `c[1002,"protocol-error"]`, 1002},
		"not UTF-8":       {websocket.MessageText, "[\"\xff\"]", `c[1007,"invalid-text"]`, 1007},
		"too large":       {websocket.MessageText, `["` + strings.Repeat("x", 997) + `"]`, `c[1009,"too-big"]`, 1009},
		"not STOMP":       {websocket.MessageText, `["nonsense\n\n\u0000"]`, `c[1002,"protocol-error"]`, 1002},
		"just not larger": {websocket.MessageText, `["` + strings.Repeat(`\n`, 498) + `"]`, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, broker.Options{}, sockjs.Options{BodyLimit: 1000}, func(t *testing.T, w *world) {
				c := w.webSocket("0,0")
				if err := c.Write(context.Background(), tc.kind, []byte(tc.message)); err != nil {
					t.Fatal(err)
				}
				if tc.frame == "" {
					synctest.Wait()
					if e := w.ended(); len(e) != 0 {
						t.Errorf("ended %v", e)
					}
					return
				}
				if f := c.next(); !strings.HasPrefix(f, `a["ERROR\nmessage:`) {
					t.Errorf("got %q", f)
				}
				c.want(tc.frame)
				if code := c.closed(); code != tc.code {
					t.Errorf("closed with %d", code)
				}
			})
		})
	}
}

func TestWebSocketReplacesInvalidUTF8(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		c := w.webSocket("0,0")
		c.send(`["SUBSCRIBE\nid:s\ndestination:/topic/a\nreceipt:1\n\n\u0000"]`)
		c.next()
		w.publish([]byte{0xc0})
		if f := c.next(); !strings.HasSuffix(f, `content-length:3\n\n\ufffd\u0000"]`) {
			t.Errorf("got %q", f)
		}
		w.publish([]byte("next"))
		if f := c.next(); !strings.HasSuffix(f, `\n\nnext\u0000"]`) {
			t.Errorf("got %q", f)
		}
	})
}

func TestWebSocketClientLeaves(t *testing.T) {
	for name, tc := range map[string]struct {
		leave  func(*webSocket)
		reason string
	}{
		"with a close frame": {func(c *webSocket) { _ = c.Close(1000, "") }, "disconnect"},
		"without a word":     {func(c *webSocket) { _ = c.CloseNow() }, "connection-lost"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
				c := w.webSocket("0,0")
				tc.leave(c)
				if e := w.ended(); e[tc.reason] != 1 {
					t.Errorf("ended %v", e)
				}
			})
		})
	}
}

// A background page sends no heart-beats, but its browser answers pings.
func TestWebSocketHeartBeat(t *testing.T) {
	o := broker.Options{HeartBeat: frames.HeartBeat{Send: 10 * time.Second, Receive: 10 * time.Second}}
	bubble(t, o, sockjs.Options{}, func(t *testing.T, w *world) {
		c := w.webSocket("10000,10000")
		for range 30 {
			c.want(`a["\n"]`) // and never an h
		}
		if e := w.ended(); len(e) != 0 {
			t.Fatalf("ended %v", e)
		}
		c = w.webSocket("0,0")
		start := time.Now()
		for range 3 {
			c.want("h")
		}
		if d := time.Since(start); d < 75*time.Second || d > 80*time.Second {
			t.Errorf("3 h in %v", d)
		}
		pass(time.Minute) // nothing reads now, so no ping is answered
		if e := w.ended(); e["connection-lost"] == 0 {
			t.Errorf("ended %v", e)
		}
	})
}

func TestWebSocketHandshake(t *testing.T) {
	tk := &tickets{left: map[string]bool{"one": true}}
	o := broker.Options{Authenticator: tk, Origins: []string{"https://app.example"}}
	good := []string{"Upgrade", "websocket", "Connection", "keep-alive, Upgrade", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
	bubble(t, o, sockjs.Options{}, func(t *testing.T, w *world) {
		for _, tc := range []struct {
			header []string
			status int
			body   string
		}{
			{[]string{"Upgrade", "h2c"}, 400, "Can \"Upgrade\" only to \"WebSocket\".\n"},
			{[]string{"Connection", "close"}, 400, "\"Connection\" must be \"Upgrade\".\n"},
			{[]string{"Sec-WebSocket-Version", "8"}, 400, "not a WebSocket handshake of RFC 6455\n"},
			{[]string{"Sec-WebSocket-Key", "short"}, 400, "not a WebSocket handshake of RFC 6455\n"},
			{[]string{"Origin", "https://evil.example"}, 403, notAllowed("https://evil.example")},
		} {
			w.as(w.from, append(good[:len(good):len(good)], tc.header...)...).want("GET", "/0/a/websocket?ticket=one", "", tc.status, tc.body)
		}
		c := w.as(w.from, "Origin", "https://app.example").dial("/0/a/websocket?ticket=one") // not consumed till now
		c.want("o")
		w.as(w.from, good...).want("GET", "/0/a/websocket?ticket=one", "", 401, "{\"error\":\"invalid_ticket\"}\n")
	})
	bubble(t, o, sockjs.Options{NoWebSocket: true}, func(t *testing.T, w *world) {
		w.as(w.from, good...).want("GET", "/0/a/websocket?ticket=one", "", 404, "")
	})
}

// W-11: the path itself and /websocket below it are plain WebSockets.
func TestRawWebSocket(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	srv := httptest.NewServer(sockjs.Handler(b, sockjs.Options{}))
	defer srv.Close()
	for _, path := range []string{"/ws", "/ws/websocket"} {
		c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(srv.URL, "http")+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Write(t.Context(), websocket.MessageText, []byte("CONNECT\naccept-version:1.1\n\n\x00")); err != nil {
			t.Fatal(err)
		}
		if _, p, err := c.Read(t.Context()); err != nil || !strings.HasPrefix(string(p), "CONNECTED\nversion:1.1\n") {
			t.Errorf("%s: got %q, %v", path, p, err)
		}
		if err := c.Close(1000, ""); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// A client that stops in the middle of an oversized message blocks nothing.
func TestWebSocketStalls(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{BodyLimit: 100}, func(t *testing.T, w *world) {
		c, err := w.net.dial(w.from)(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		write := func(s string) {
			if _, err := io.WriteString(c, s); err != nil {
				t.Fatal(err)
			}
		}
		got := make(chan string)
		go func() {
			p, err := io.ReadAll(c)
			if err != nil {
				t.Error(err)
			}
			got <- string(p)
		}()
		write("GET /ws/0/a/websocket HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		write("\x81\xfe\xff\xff\x00\x00\x00\x00" + strings.Repeat("x", 200)) // of 65,535
		start := time.Now()
		if all := testkit.Receive(t, got); !strings.Contains(all, `c[1009,"too-big"]`) || !strings.Contains(all, "a message over 100 bytes") {
			t.Errorf("got %q", all)
		}
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("it took %v", d)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}
