package brokertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/frames"
)

// Client is an in-memory STOMP client. Its bytes reach the broker unchanged
// through a broker.Transport, so a test may send anything. Only one goroutine
// may use it.
type Client struct {
	// Session is the session id from CONNECTED.
	Session string

	t       *transport
	version frames.Version
	dec     frames.Decoder
	ended   chan error
	store   quieter // nil without one
}

// Dial opens a connection without sending anything.
func Dial(b *broker.Broker) *Client {
	c := &Client{
		t:     &transport{in: make(chan []byte, 1024), out: make(chan []byte, 1<<16), closed: make(chan struct{})},
		ended: make(chan error, 1),
	}
	if q, ok := quieters.Load(b); ok {
		c.store = q.(quieter)
	}
	c.dec.SetLimits(frames.Limits{Frame: -1, Headers: -1, HeaderBytes: -1})
	go func() { c.ended <- b.Serve(context.Background(), c.t, broker.Admission{}) }()
	return c
}

// Connect opens a connection, sends CONNECT with `accept-version:1.2` and the
// headers (name, value, name, value), and waits for CONNECTED.
func Connect(t testing.TB, b *broker.Broker, headers ...string) *Client {
	t.Helper()
	c := Dial(b)
	t.Cleanup(c.Close)
	h := append([]string{"heart-beat", "0,0"}, headers...)
	if !contains(headers, frames.HeaderAcceptVersion) {
		h = append([]string{frames.HeaderAcceptVersion, "1.2"}, h...)
	}
	c.Send(frames.CommandConnect, "", h...)
	f := c.Expect(t, frames.CommandConnected)
	switch f.Get(frames.HeaderVersion) {
	case "1.0":
		c.version = frames.V10
	case "1.1":
		c.version = frames.V11
	default:
		c.version = frames.V12
	}
	c.dec.SetVersion(c.version)
	c.Session = f.Get(frames.HeaderSession)
	return c
}

func contains(headers []string, name string) bool {
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == name {
			return true
		}
	}
	return false
}

// Send sends a frame. The headers are name, value, name, value.
func (c *Client) Send(command, body string, headers ...string) {
	f := frames.Frame{Command: command, Body: []byte(body)}
	for i := 0; i+1 < len(headers); i += 2 {
		f.Headers = append(f.Headers, frames.Header{Name: headers[i], Value: headers[i+1]})
	}
	c.Write(frames.Append(nil, c.version, &f))
}

// Write sends bytes unchanged.
func (c *Client) Write(p []byte) {
	select {
	case c.t.in <- append([]byte(nil), p...):
	case <-c.t.closed:
	}
}

// Subscribe sends SUBSCRIBE and waits for its receipt.
func (c *Client) Subscribe(t testing.TB, id, destination string, headers ...string) {
	t.Helper()
	c.Send(frames.CommandSubscribe, "", append([]string{"id", id, "destination", destination, "receipt", "sub-" + id}, headers...)...)
	c.ExpectReceipt(t, "sub-"+id)
}

// Receive returns a copy of the next frame, or an error if there is none within
// a minute. If the broker was made by New with a QueueStore that has a method
// Quiet(), it is called when a RECEIPT has come, so that what the store hands
// over comes before what is sent later.
func (c *Client) Receive() (*frames.Frame, error) {
	timeout := time.NewTimer(time.Minute)
	defer timeout.Stop()
	for {
		f, ok, err := c.dec.Next()
		if err != nil {
			return nil, fmt.Errorf("what the broker sent cannot be read: %w", err)
		}
		if ok {
			f = f.Clone()
			if c.store != nil && f.Command == frames.CommandReceipt {
				c.store.Quiet()
			}
			return f, nil
		}
		select {
		case p := <-c.t.out:
			c.dec.Feed(p)
			continue
		default:
		}
		select {
		case p := <-c.t.out:
			c.dec.Feed(p)
		case <-c.t.closed:
			select {
			case p := <-c.t.out:
				c.dec.Feed(p)
			default:
				return nil, io.EOF
			}
		case <-timeout.C:
			return nil, errors.New("nothing received for a minute")
		}
	}
}

// Pending returns how many writes of the broker are not yet received.
func (c *Client) Pending() int { return len(c.t.out) + min(c.dec.Buffered(), 1) }

// Expect returns the next frame. It fails the test if that has a different
// command.
func (c *Client) Expect(t testing.TB, command string) *frames.Frame {
	t.Helper()
	f, err := c.Receive()
	if err != nil {
		t.Fatalf("waiting for %s: %v", command, err)
	}
	if f.Command != command {
		t.Fatalf("got %s %v %q, want %s", f.Command, f.Headers, f.Body, command)
	}
	return f
}

// ExpectReceipt fails the test unless the next frame is the RECEIPT with this
// id.
func (c *Client) ExpectReceipt(t testing.TB, id string) {
	t.Helper()
	if f := c.Expect(t, frames.CommandReceipt); f.Get(frames.HeaderReceiptID) != id {
		t.Fatalf("receipt-id is %q, want %q", f.Get(frames.HeaderReceiptID), id)
	}
}

// Sync sends a frame that changes nothing and waits for its receipt: the broker
// has then handled all earlier frames, and all their effects on this client
// have arrived, with what a QueueStore hands over, see Receive. It returns the
// other frames that arrived meanwhile.
func (c *Client) Sync(t testing.TB) []*frames.Frame {
	t.Helper()
	seen := c.sync(t)
	if c.store != nil {
		seen = append(seen, c.sync(t)...)
	}
	return seen
}

func (c *Client) sync(t testing.TB) []*frames.Frame {
	t.Helper()
	c.Send(frames.CommandUnsubscribe, "", "id", "no such subscription", "receipt", "sync")
	var seen []*frames.Frame
	for {
		f, err := c.Receive()
		if err != nil {
			t.Fatalf("sync: %v", err)
		}
		if f.Command == frames.CommandReceipt && f.Get(frames.HeaderReceiptID) == "sync" {
			return seen
		}
		seen = append(seen, f)
	}
}

// Ended waits for the session's end and returns the result of Broker.Serve.
func (c *Client) Ended(t testing.TB) error {
	t.Helper()
	select {
	case err := <-c.ended:
		c.ended <- err
		return err
	case <-time.After(time.Minute):
		t.Fatal("the session did not end within a minute")
		return nil
	}
}

// CloseCode returns the WebSocket close code that the broker chose, 0 if none
// yet.
func (c *Client) CloseCode() int {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	return c.t.code
}

// Close ends the connection without DISCONNECT and waits for the session's end.
func (c *Client) Close() {
	_ = c.t.Close(0, "") // never fails
	err := <-c.ended
	c.ended <- err
}

// transport implements both ends of the connection.
type transport struct {
	in, out chan []byte

	mu     sync.Mutex
	code   int
	done   bool
	closed chan struct{}
}

func (t *transport) Receive() ([]byte, error) {
	select {
	case p := <-t.in:
		return p, nil
	case <-t.closed:
		return nil, io.EOF
	}
}

func (t *transport) Send(list [][]byte) error {
	for _, p := range list {
		select {
		case t.out <- bytes.Clone(p): // the broker reuses the slices
		case <-t.closed:
			return io.ErrClosedPipe
		}
	}
	return nil
}

func (t *transport) Close(code int, _ string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.done {
		t.done, t.code = true, code
		close(t.closed)
	}
	return nil
}
