package java_test

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// A bridge lets a client that only knows TCP speak STOMP over WebSocket: what
// comes on a connection goes on in WebSocket messages, and back. A STOMP frame
// and a WebSocket message have nothing to do with each other (traps 41 and
// following), so it cuts where it likes.
type bridge struct {
	Addr string

	url      string
	calls    sync.WaitGroup
	partial  atomic.Int64 // messages to the broker that end inside a frame
	multiple atomic.Int64 // messages to the broker with several frames
}

// cuts are the sizes of pieces, one after the other and over again. They have no
// common factor with anything, and one is larger than all the frames of a burst.
var cuts = []int{1, 7, 4099, 64, 3, 16411, 251, 2}

// bridgeTo starts a bridge to a WebSocket endpoint.
func bridgeTo(t *testing.T, url string) *bridge {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bridge{Addr: l.Addr().String(), url: url}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		b.accept(ctx, l)
	}()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		testkit.Receive(t, stopped)
		cancel()
		testkit.Wait(t, &b.calls)
	})
	return b
}

func (b *bridge) accept(ctx context.Context, l net.Listener) {
	for {
		near, err := l.Accept()
		if err != nil {
			return // closed: the test is over
		}
		b.calls.Go(func() { b.carry(ctx, near) })
	}
}

// carry serves one connection. Either end closes both; what broke, the client
// sees as the end of its connection and fails its test.
func (b *bridge) carry(ctx context.Context, near net.Conn) {
	defer func() { _ = near.Close() }() // twice in most cases
	dialing, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	far, _, err := websocket.Dial(dialing, b.url, &websocket.DialOptions{
		Subprotocols:    []string{"v10.stomp", "v11.stomp", "v12.stomp"},
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return
	}
	far.SetReadLimit(-1)
	var back sync.WaitGroup
	back.Go(func() {
		defer func() { _ = near.Close() }() // ends the other direction
		for i := 0; ; {
			_, p, err := far.Read(ctx)
			if err != nil {
				return
			}
			for len(p) > 0 {
				n := min(cuts[i%len(cuts)], len(p))
				i++
				if _, err := near.Write(p[:n]); err != nil {
					return
				}
				p = p[n:]
			}
		}
	})
	b.forward(ctx, near, far)
	_ = far.CloseNow() // as abruptly as the client went
	_ = near.Close()   // the other direction may be writing to it
	back.Wait()
}

// forward carries what the client sends, until it ends.
func (b *bridge) forward(ctx context.Context, near net.Conn, far *websocket.Conn) {
	buf := make([]byte, 64<<10)
	for i := 0; ; {
		n, err := near.Read(buf)
		if err != nil {
			return
		}
		for p := buf[:n]; len(p) > 0; i++ {
			piece := p[:min(cuts[i%len(cuts)], len(p))]
			p = p[len(piece):]
			b.count(piece)
			kind := websocket.MessageText
			if !utf8.Valid(piece) { // cut inside a character, or a body of bytes
				kind = websocket.MessageBinary
			}
			if err := far.Write(ctx, kind, piece); err != nil {
				return
			}
		}
	}
}

func (b *bridge) count(piece []byte) {
	if bytes.Count(piece, []byte{0}) > 1 {
		b.multiple.Add(1)
	}
	if last := piece[len(piece)-1]; last != 0 && last != '\n' {
		b.partial.Add(1)
	}
}

// wantCuts fails the test unless the broker was really put to it.
func (b *bridge) wantCuts(t *testing.T) {
	t.Helper()
	if p, m := b.partial.Load(), b.multiple.Load(); p == 0 || m == 0 {
		t.Errorf("%d messages ended inside a frame and %d had several: that tests nothing", p, m)
	}
}
