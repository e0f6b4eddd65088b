package webflow_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
	"github.com/hoofbeat/hoofbeat/frames"
)

// browser is a WebSocket that sends bytes as recorded from the real client.
type browser struct {
	t       *testing.T
	c       *websocket.Conn
	version frames.Version
}

func dial(t *testing.T, srv *brokertest.Server, protocols ...string) *browser {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, _, err := websocket.Dial(ctx, srv.URL, &websocket.DialOptions{Subprotocols: protocols, HTTPHeader: http.Header{"Origin": {srv.HTTP.URL}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return &browser{t: t, c: c, version: frames.V11}
}

func (b *browser) write(messages ...string) {
	b.t.Helper()
	for _, m := range messages {
		if err := b.c.Write(b.t.Context(), websocket.MessageText, []byte(m)); err != nil {
			b.t.Fatal(err)
		}
	}
}

// next returns the frame in the next WebSocket message, which must contain
// nothing else (C-8).
func (b *browser) next(command string) *frames.Frame {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	_, p, err := b.c.Read(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	var d frames.Decoder
	if command != frames.CommandConnected {
		d.SetVersion(b.version)
	}
	d.Feed(p)
	f, ok, err := d.Next()
	if !ok || err != nil || !strings.HasSuffix(string(p), "\x00") || f.Command != command {
		b.t.Fatalf("got %q, want one %s", p, command)
	}
	return f.Clone()
}

func startServer(t *testing.T, o webflow.Options) (*brokertest.Server, *webflow.Flow) {
	t.Helper()
	srv := brokertest.Start(t, broker.Options{Authenticator: auth.Anonymous, Authorizer: auth.Guarded()})
	f, err := webflow.New(srv.Broker, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return srv, f
}

// C-1, C-2, C-3, C-5, C-6, C-7, C-8, C-9: the bytes that stompjs 2.3.3 sends
// when used like Web Flow's page.
func TestRecordedWebFlowClient(t *testing.T) {
	for _, protocols := range [][]string{{"v10.stomp", "v11.stomp"}, nil} { // Stomp.client, and over the page's own socket
		var d diary
		srv, f := startServer(t, d.in(webflow.Options{}))
		if _, err := f.Open(t.Context(), webflow.Operation{ID: "op", WebSocketID: "12345678", Owner: anyone}); err != nil {
			t.Fatal(err)
		}
		page := dial(t, srv, protocols...)
		page.write("CONNECT\nX-CSRF-TOKEN:t\naccept-version:1.1,1.0\nheart-beat:10000,10000\n\n\x00")
		wantHeaders(t, page.next("CONNECTED"), "version", "1.1", "heart-beat", "10000,10000")
		page.write(
			"SUBSCRIBE\nid:sub-0\ndestination:/user/topic/registration\n\n\x00",
			"SEND\ndestination:/app/registration\ncontent-length:26\n\n{\"webSocketId\":\"12345678\"}\x00",
			"SUBSCRIBE\nid:sub-1\ndestination:/user/topic/authorization\n\n\x00",
		)
		m := page.next("MESSAGE")
		wantHeaders(t, m, "subscription", "sub-0", "destination", "/user/topic/registration")
		if string(m.Body) != `{"webSocketId":"12345678","registrationSucceeded":true}` {
			t.Errorf("body %s", m.Body)
		}
		notifyEventually(t, f, "op", "CONFIRMED")
		m = page.next("MESSAGE")
		wantHeaders(t, m, "subscription", "sub-1", "destination", "/user/topic/authorization")
		if string(m.Body) != `{"webSocketId":"12345678","authResult":"CONFIRMED"}` {
			t.Errorf("body %s", m.Body)
		}
		page.write("UNSUBSCRIBE\nid:/user/topic/authorization\n\n\x00", "DISCONNECT\n\n\x00")
		_ = page.c.Close(websocket.StatusNormalClosure, "")
		brokertest.Eventually(t, "the page is gone", func() bool { return srv.Broker.Stats().Sessions == 0 && f.Stats().Sessions == 0 })
		if e := d.wantEvents(t, "registered", "lost")[1]; !e.Clean || e.Code != 1000 || e.Reason != broker.ReasonDisconnect {
			t.Errorf("%+v", e)
		}
		_ = f.Close()
	}
}

// notifyEventually reports a result, to be delivered now or when the page
// subscribes.
func notifyEventually(t *testing.T, f *webflow.Flow, id, result string) {
	t.Helper()
	if _, err := f.Notify(t.Context(), id, result); err != nil {
		t.Fatal(err)
	}
}

// C-4: stompjs splits frames longer than 16384 characters into several
// messages.
func TestC4RegistrationInPieces(t *testing.T) {
	srv, f := startServer(t, webflow.Options{MaxIDBytes: 4096})
	open(t, f, "op", anyone)
	page := dial(t, srv)
	page.write("CONNECT\naccept-version:1.1,1.0\nheart-beat:0,0\n\n\x00")
	page.next("CONNECTED")
	page.write("SUBSCRIBE\nid:sub-0\ndestination:/user/topic/registration\n\n\x00")
	send := "SEND\ndestination:/app/registration\n\n{\"webSocketId\":\"ws-op\"," + strings.Repeat(" ", 20_000) + "\"more\":1}\x00"
	page.write(send[:16384], send[16384:])
	if m := page.next("MESSAGE"); string(m.Body) != `{"webSocketId":"ws-op","registrationSucceeded":true}` {
		t.Errorf("body %s", m.Body)
	}
}

// C-11: STOMP for CONNECT, CR LF, version 1.2.
func TestC11ModernClient(t *testing.T) {
	srv, f := startServer(t, webflow.Options{})
	open(t, f, "op", anyone)
	page := dial(t, srv, "v12.stomp", "v11.stomp", "v10.stomp")
	page.version = frames.V12
	page.write("STOMP\r\naccept-version:1.2,1.1,1.0\r\nheart-beat:0,0\r\nhost:x\r\n\r\n\x00")
	wantHeaders(t, page.next("CONNECTED"), "version", "1.2", "heart-beat", "10000,10000")
	page.write("SUBSCRIBE\r\nid:sub-0\r\nack:client\r\ndestination:/user/topic/authorization\r\n\r\n\x00",
		"SEND\r\ndestination:/user/topic/registration\r\n\r\n{\"webSocketId\":\"ws-op\"}\x00",
		"SUBSCRIBE\r\nid:sub-1\r\ndestination:/user/topic/registration\r\n\r\n\x00")
	if m := page.next("MESSAGE"); string(m.Body) != `{"webSocketId":"ws-op","registrationSucceeded":true}` {
		t.Errorf("body %s", m.Body)
	}
	notify(t, f, "op", "DONE", true)
	m := page.next("MESSAGE")
	page.write("ACK\r\nid:" + m.Get("ack") + "\r\nreceipt:1\r\n\r\n\x00")
	page.next("RECEIPT")
}

// E-9, W-12: a reload closes with 1001. The page that follows gets what was
// reported meanwhile.
func TestE9Reload(t *testing.T) {
	var d diary
	srv, f := startServer(t, d.in(webflow.Options{}))
	open(t, f, "op", anyone)
	for i := range 2 {
		page := dial(t, srv)
		page.write("CONNECT\naccept-version:1.1,1.0\nheart-beat:0,0\n\n\x00",
			"SUBSCRIBE\nid:sub-0\ndestination:/user/topic/registration\n\n\x00",
			"SUBSCRIBE\nid:sub-1\ndestination:/user/topic/authorization\n\n\x00",
			"SEND\ndestination:/app/registration\n\n{\"webSocketId\":\"ws-op\"}\x00")
		page.next("CONNECTED")
		if m := page.next("MESSAGE"); string(m.Body) != `{"webSocketId":"ws-op","registrationSucceeded":true}` {
			t.Errorf("body %s", m.Body)
		}
		if i == 1 {
			if m := page.next("MESSAGE"); string(m.Body) != `{"webSocketId":"ws-op","authResult":"CONFIRMED"}` {
				t.Errorf("body %s", m.Body)
			}
			break
		}
		_ = page.c.Close(websocket.StatusGoingAway, "")
		brokertest.Eventually(t, "the page is gone", func() bool { return f.Stats().Registered == 0 })
		notify(t, f, "op", "CONFIRMED", false)
	}
	if e := d.wantEvents(t, "registered", "lost", "registered")[1]; !e.Clean || e.Code != 1001 {
		t.Errorf("%+v", e)
	}
}
