package broker_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// reluctant is a Transport that can go deaf, and whose Close takes its time, as
// that of a library does which waits for its own goroutines.
type reluctant struct {
	in      chan []byte
	closed  chan struct{}
	once    sync.Once
	deaf    atomic.Bool
	closing time.Duration
	closes  atomic.Int32
}

func (r *reluctant) Receive() ([]byte, error) {
	select {
	case p := <-r.in:
		return p, nil
	case <-r.closed:
		return nil, io.EOF
	}
}

func (r *reluctant) Send([][]byte) error {
	if r.deaf.Load() {
		<-r.closed
		return io.ErrClosedPipe
	}
	return nil
}

func (r *reluctant) Close(int, string) error {
	r.closes.Add(1)
	time.Sleep(r.closing)
	r.once.Do(func() { close(r.closed) })
	return nil
}

// serveReluctant runs a session over one; Serve returns before the test ends.
func serveReluctant(t *testing.T, b *broker.Broker) *reluctant {
	r := &reluctant{in: make(chan []byte, 16), closed: make(chan struct{}), closing: 30 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Serve(context.Background(), r, broker.Admission{}) // ends with the broker
	}()
	t.Cleanup(func() { <-done })
	return r
}

// A publisher that overruns a client does not wait for its connection to close.
func TestPublisherDoesNotWaitForClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{Limits: broker.Limits{Frame: 1024, Outbox: 8192}})
		r := serveReluctant(t, b)
		r.in <- encode(frame("CONNECT", "", "accept-version", "1.2"), frame("SUBSCRIBE", "", "id", "1", "destination", "/topic/a"))
		synctest.Wait()
		r.deaf.Store(true)
		start := time.Now()
		for n := 0; b.Stats().Ended["slow-consumer"] == 0; n++ {
			if n > 100 {
				t.Fatal("it was not ended as a slow consumer")
			}
			publish(t, b, "/topic/a", strings.Repeat("x", 500))
		}
		if d := time.Since(start); d > 0 {
			t.Errorf("the publisher waited %v", d)
		}
	})
}

// The sweeper is the clock of all sessions: one whose Close blocks must not stop
// the heart-beats and deadlines of the others. That is so for a Transport, and
// for a connection of a listener that the program has wrapped.
func TestSweeperDoesNotWaitForClose(t *testing.T) {
	for _, tc := range []struct {
		name string
		open func(t *testing.T, b *broker.Broker)
	}{
		{"Transport", func(t *testing.T, b *broker.Broker) { serveReluctant(t, b).deaf.Store(true) }},
		{"net.Conn", func(t *testing.T, b *broker.Broker) {
			ours, theirs := net.Pipe()
			t.Cleanup(func() { _ = theirs.Close() })
			b.AcceptTCP(&reluctantConn{Conn: ours})
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := brokertest.New(t, broker.Options{HeartBeat: heartBeat(time.Second, -1), ConnectDeadline: 2 * time.Second})
				p := pipe(t, b, false).connect(t, "heart-beat", "0,1000")
				tc.open(t, b) // never connects, and does not take the ERROR that says so
				start := time.Now()
				for last := start; last.Sub(start) < 20*time.Second; {
					e := p.want(t, "eol")
					if e.at.Sub(last) > time.Second {
						t.Fatalf("after %v there was no heart-beat for %v", last.Sub(start), e.at.Sub(last))
					}
					last = e.at
				}
				if n := b.Stats().Ended["connect-timeout"]; n != 1 {
					t.Errorf("ended as %v", b.Stats().Ended)
				}
			})
		})
	}
}

// reluctantConn is a connection whose Close takes its time.
type reluctantConn struct{ net.Conn }

func (c *reluctantConn) Close() error {
	time.Sleep(30 * time.Second)
	return c.Conn.Close()
}

// However often an ending session is given up, its Transport is closed at once
// by one goroutine, and not by one for each.
func TestOneGoroutineClosesATransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{ConnectDeadline: time.Second, LingerTimeout: time.Second})
		r := serveReluctant(t, b)
		r.deaf.Store(true)
		<-time.After(20 * time.Second) // many times LingerTimeout
		if n := r.closes.Load(); n != 1 {
			t.Errorf("%d calls of Close at the same time", n)
		}
	})
}

// A connection that is turned away does not keep the next from being accepted.
func TestAcceptDoesNotWaitForClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{Limits: broker.Limits{Unauthenticated: 1}})
		ours, theirs := net.Pipe()
		t.Cleanup(func() { _ = theirs.Close() })
		b.AcceptTCP(ours)
		start := time.Now()
		other, _ := net.Pipe()
		b.AcceptTCP(&reluctantConn{Conn: other})
		if d := time.Since(start); d > 0 {
			t.Errorf("a connection over the cap held the listener up for %v", d)
		}
		if n := b.Stats().Refused; n != 1 {
			t.Errorf("%d were refused, want 1", n)
		}
	})
}
