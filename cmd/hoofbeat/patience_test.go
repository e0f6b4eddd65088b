//go:build unix

package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A client that promises heart-beats, sends none and answers pings is ended by
// the binary after heartbeat.patience.
func TestPatienceOfTheBinary(t *testing.T) {
	t.Parallel()
	s := serve(t, []string{"HOOFBEAT_HEARTBEAT_PATIENCE=7s", "HOOFBEAT_HEARTBEAT_EXPECT=2s"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, _, err := websocket.Dial(ctx, s.url, &websocket.DialOptions{Subprotocols: []string{"v12.stomp"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	if err := c.Write(ctx, websocket.MessageText, []byte("CONNECT\naccept-version:1.2\nhost:x\nheart-beat:2000,0\n\n\x00")); err != nil {
		t.Fatal(err)
	}
	since := time.Now()
	for {
		_, p, err := c.Read(ctx) // which answers pings
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(string(p), "ERROR\n") {
			if want := "message:no frame and no heart-beat was heard for 7s (heartbeat.patience)\n"; !strings.Contains(string(p), want) {
				t.Errorf("got %q, want %q", p, want)
			}
			break
		}
	}
	if d := time.Since(since); d < 4*time.Second {
		t.Errorf("it was ended after %v", d)
	}
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != 1002 {
		t.Errorf("the connection ended with %v, want close code 1002", err)
	}
}
