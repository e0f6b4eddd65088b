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
	"github.com/hoofbeat/hoofbeat/internal/testkit"
)

func TestAccepted(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	srv := httptest.NewServer(handler(b))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
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
