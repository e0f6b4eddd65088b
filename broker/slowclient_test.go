package broker_test

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/frames"
)

// slowClient is a client in memory whose connection buffers nothing: what the
// test has not read yet is still in the broker's outbox.
type slowClient struct {
	in     chan []byte
	out    chan []byte
	closed chan struct{}
	once   sync.Once
	code   atomic.Int64 // of the first Close
	dec    frames.Decoder
}

// connectSlow connects one with STOMP 1.2.
func connectSlow(t testing.TB, b *broker.Broker) *slowClient {
	t.Helper()
	c := &slowClient{in: make(chan []byte, 16), out: make(chan []byte), closed: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Serve(context.Background(), c, broker.Admission{}) // ends with the test
	}()
	t.Cleanup(func() {
		_ = c.Close(0, "")
		testkit.Receive(t, done)
	})
	c.send(frame("CONNECT", "", "accept-version", "1.2"))
	if f := c.next(t); f.Command != "CONNECTED" {
		t.Fatalf("got %v", f)
	}
	c.dec.SetVersion(frames.V12)
	return c
}

func (c *slowClient) send(f frames.Frame) { c.in <- encode(f) }

// next reads one frame.
func (c *slowClient) next(t testing.TB) *frames.Frame {
	t.Helper()
	for {
		f, ok, err := c.dec.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			return f.Clone()
		}
		select {
		case p := <-c.out:
			c.dec.Feed(p)
		case <-c.closed:
			t.Fatal("the session has ended")
		}
	}
}

func (c *slowClient) Receive() ([]byte, error) {
	select {
	case p := <-c.in:
		return p, nil
	case <-c.closed:
		return nil, io.EOF
	}
}

func (c *slowClient) Send(list [][]byte) error {
	for _, p := range list {
		select {
		case c.out <- bytes.Clone(p): // the slices are not ours to keep
		case <-c.closed:
			return io.ErrClosedPipe
		}
	}
	return nil
}

func (c *slowClient) Close(code int, _ string) error {
	c.code.CompareAndSwap(0, int64(code))
	c.once.Do(func() { close(c.closed) })
	return nil
}
