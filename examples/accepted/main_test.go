package main

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestAccepted(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	srv := httptest.NewServer(handler(b))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(srv.URL, "http"), &websocket.DialOptions{Subprotocols: []string{"v12.stomp"}})
	if err != nil {
		t.Fatal(err)
	}
	if ws.Subprotocol() != "v12.stomp" {
		t.Errorf("sub-protocol %q", ws.Subprotocol())
	}
	c, err := stomp.Connect(websocket.NetConn(ctx, ws, websocket.MessageText), stomp.ConnOpt.AcceptVersion(stomp.V12))
	if err != nil {
		t.Fatal(err)
	}
	sub, err := c.Subscribe("/topic/news", stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	brokertest.Eventually(t, "the subscription is there", func() bool { return b.Stats().Subscriptions == 1 })
	if err := c.Send("/topic/news", "text/plain", []byte("hello"), stomp.SendOpt.Receipt); err != nil {
		t.Fatal(err)
	}
	if m := testkit.Receive(t, sub.C); string(m.Body) != "hello" {
		t.Errorf("body %q, error %v", m.Body, m.Err)
	}
	if err := c.Disconnect(); err != nil {
		t.Error(err)
	}
}

// A tab that is closed, or a page that goes elsewhere, is a goodbye and no lost
// connection: observers, and so package webflow, can tell them apart.
func TestCloseCodeOfThePage(t *testing.T) {
	for _, code := range []int{1000, 1001, 4000} {
		b := brokertest.New(t, broker.Options{})
		ended := make(chan *broker.Error, 1)
		b.Observe(broker.Observer{Disconnected: func(_ broker.SessionInfo, e *broker.Error) { ended <- e }})
		srv := httptest.NewServer(handler(b))
		defer srv.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		ws, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(srv.URL, "http"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := ws.Write(ctx, websocket.MessageText, []byte("CONNECT\naccept-version:1.2\n\n\x00")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ws.Read(ctx); err != nil {
			t.Fatal(err)
		}
		if err := ws.Close(websocket.StatusCode(code), "bye"); err != nil {
			t.Fatal(err)
		}
		select {
		case e := <-ended:
			if e.Reason != broker.ReasonDisconnect || e.ClientCode != code {
				t.Errorf("closed with %d: the observer hears %v with code %d", code, e, e.ClientCode)
			}
		case <-ctx.Done():
			t.Fatal("the session did not end")
		}
	}
}
