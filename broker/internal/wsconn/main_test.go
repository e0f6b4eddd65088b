package wsconn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// frame is a client's frame in bytes, masked.
func frame(op ws.OpCode, fin bool, payload string) string {
	b0 := byte(op)
	if fin {
		b0 |= 0x80
	}
	mask := [4]byte{0x11, 0x22, 0x93, 0xf4}
	body := []byte(payload)
	for i := range body {
		body[i] ^= mask[i&3]
	}
	return string([]byte{b0}) + length(len(body), 0x80) + string(mask[:]) + string(body)
}

func length(n int, masked byte) string {
	switch {
	case n < 126:
		return string([]byte{masked | byte(n)})
	case n < 1<<16:
		return string(binary.BigEndian.AppendUint16([]byte{masked | 126}, uint16(n)))
	default:
		return string(binary.BigEndian.AppendUint64([]byte{masked | 127}, uint64(n)))
	}
}

func text(s string) string { return frame(ws.OpText, true, s) }
func bin(s string) string  { return frame(ws.OpBinary, true, s) }

// heard is a Handler that records its calls.
type heard struct {
	got     []byte   // all Data
	control []string // pings and pongs, with the length of the payload before them
	data    int      // calls of Data
	batches int
	onData  func(p []byte) error
	onBatch func() error
}

func (h *heard) payload() string { return string(h.got) }

func (h *heard) Data(p []byte) error {
	h.data++
	h.got = append(h.got, p...)
	if h.onData != nil {
		return h.onData(p)
	}
	return nil
}

func (h *heard) Ping(p []byte) {
	h.control = append(h.control, fmt.Sprintf("%d ping %q", len(h.got), p))
}

func (h *heard) Pong() { h.control = append(h.control, fmt.Sprintf("%d pong", len(h.got))) }

func (h *heard) Batch() error {
	h.batches++
	if h.onBatch != nil {
		return h.onBatch()
	}
	return nil
}

// script is a connection that brings each portion with one read, then EOF.
type script struct {
	net.Conn
	portions []string
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.portions) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.portions[0])
	if s.portions[0] = s.portions[0][n:]; s.portions[0] == "" {
		s.portions = s.portions[1:]
	}
	return n, nil
}

func (s *script) SetReadDeadline(time.Time) error { return nil } // it never waits

// play feeds the portions to a fresh connection.
func play(limit int64, portions ...string) (*heard, error) {
	h := new(heard)
	c := New(&script{portions: portions}, nil)
	c.MaxMessage = limit
	return h, c.Receive(h)
}

// bytewise cuts s into single bytes.
func bytewise(s string) []string {
	var list []string
	for i := range len(s) {
		list = append(list, s[i:i+1])
	}
	return list
}

// describe makes an ending comparable.
func describe(err error) string {
	if closed, ok := errors.AsType[*CloseError](err); ok {
		return fmt.Sprintf("close %d %q", closed.Code, closed.Reason)
	}
	if broken, ok := errors.AsType[*ProtocolError](err); ok {
		return fmt.Sprintf("protocol %d %s", broken.Code, broken.Reason)
	}
	return err.Error()
}

func wait[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(time.Minute):
		t.Fatal("nothing happened in a minute")
		panic("unreachable")
	}
}
