package broker

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/internal/admission"
	"github.com/hoofbeat/hoofbeat/broker/internal/wire"
	"github.com/hoofbeat/hoofbeat/broker/internal/wsconn"
	"github.com/hoofbeat/hoofbeat/frames"
)

// strictWire is a WebSocket that reports a call of wsconn.Receive against its
// contract: beside another one, or after it has returned anything else than an
// error of Batch, which is errRested, or the read deadline.
type strictWire struct {
	wire.Wire
	t       *testing.T
	running atomic.Bool
	over    atomic.Pointer[error]
	rested  atomic.Int32
	woken   atomic.Int32
}

func (w *strictWire) Receive(r wire.Receiver) error {
	if w.running.Swap(true) {
		w.t.Error("Receive is called while another one runs")
	}
	if end := w.over.Load(); end != nil {
		w.t.Errorf("Receive is called again after it has returned %v", *end)
	}
	err := w.Wire.Receive(r)
	switch {
	case err == errRested:
		w.rested.Add(1)
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.woken.Add(1)
	default:
		w.over.Store(&err)
	}
	w.running.Store(false)
	return err
}

// text makes a text message of a client.
func text(s string) []byte {
	return ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewTextFrame([]byte(s))))
}

// A session calls wsconn.Receive as its contract allows, whatever it is doing and
// however it ends.
func TestReceiveIsCalledAsItsContractAllows(t *testing.T) {
	flood := strings.Repeat("x", 64<<10)
	for name, end := range map[string]func(net.Conn){
		"the connection is cut": func(c net.Conn) { _ = c.Close() },
		"a close frame":         func(c net.Conn) { _, _ = c.Write(ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewCloseFrame(nil)))) },
		"a heart-beat and a close": func(c net.Conn) {
			_, _ = c.Write(append(text("\n"), ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewCloseFrame(nil)))...))
		},
		"a frame that is not masked": func(c net.Conn) { _, _ = c.Write(ws.MustCompileFrame(ws.NewTextFrame([]byte("x")))) },
		"text that is not UTF-8":     func(c net.Conn) { _, _ = c.Write(text("\xff")) },
		"DISCONNECT":                 func(c net.Conn) { _, _ = c.Write(text("DISCONNECT\n\n\x00")) },
		"no STOMP, and more than is read": func(c net.Conn) {
			_, _ = c.Write(text("NONSENSE\n\n\x00"))
			for err := error(nil); err == nil; { // until Data returns an error and the connection is closed
				_, err = c.Write(text(flood))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := New(Options{Authenticator: auth.Anonymous, Authorizer: auth.Open(), LingerTimeout: 200 * time.Millisecond, HeartBeat: frames.HeartBeat{Send: -1, Receive: -1}})
			if err != nil {
				t.Fatal(err)
			}
			defer closes(t, b)
			ours, theirs := net.Pipe()
			defer ours.Close()
			c := wsconn.New(theirs, nil)
			w := &strictWire{Wire: wire.NewWebSocket(c), t: t}
			s, err := b.newSession(w, new(admission.Entry))
			if err != nil {
				t.Fatal(err)
			}
			if !b.spawn(s.run) {
				t.Fatal("no goroutine is started")
			}
			go func() { _, _ = io.Copy(io.Discard, ours) }() // ends with the connection
			write := func(p []byte) {
				if _, err := ours.Write(p); err != nil {
					t.Fatal(err)
				}
			}
			write(text("CONNECT\naccept-version:1.2\nheart-beat:0,0\n\n\x00"))
			for i := range 3 { // it comes to rest, and is woken for work of others
				write(text("SEND\ndestination:/topic/a\n\n\x00"))
				write(text("\n"))
				write(text("\n"))
				ran := make(chan struct{})
				s.do(func(*batch) { close(ran) })
				testkit.Receive(t, ran)
				if n := w.rested.Load(); int(n) <= i {
					t.Errorf("after heart-beat %d the session came to rest %d times", i, n)
				}
			}
			woken := w.woken.Load()
			end(ours)
			for deadline := time.Now().Add(testkit.Patience); b.Sockets() > 0; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the session does not end")
				}
			}
			// On a busy machine, LingerTimeout may end it before an error does.
			if w.over.Load() == nil && w.woken.Load() == woken && name != "DISCONNECT" {
				t.Error("Receive has not returned")
			}
		})
	}
}
