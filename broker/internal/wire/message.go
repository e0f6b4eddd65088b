package wire

import (
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
)

// transport is broker.Transport, where the methods are documented.
type transport interface {
	Receive() ([]byte, error)
	Send(frames [][]byte) error
	Close(code int, reason string) error
}

// Message is a transport from outside that carries messages. Any write may
// block, so TryWrite writes nothing.
type Message struct {
	t    transport
	form encode.Framing // FramingMessage or FramingText
}

// NewMessage returns the Wire of a transport.
func NewMessage(t transport) *Message {
	form := encode.FramingMessage
	if text, ok := t.(interface{ TextOnly() bool }); ok && text.TextOnly() {
		form = encode.FramingText
	}
	return &Message{t, form}
}

// Framing returns encode.FramingMessage or encode.FramingText.
func (w *Message) Framing() encode.Framing { return w.form }

// CanTry returns false.
func (w *Message) CanTry() bool { return false }

// TryWrite does nothing.
func (w *Message) TryWrite([]byte) (int, error) { return 0, nil }

// Ping returns nil.
func (w *Message) Ping() []byte { return nil }

// Goodbye returns nil.
func (w *Message) Goodbye(int, string) []byte { return nil }

// Shut closes the transport.
func (w *Message) Shut() { _ = w.t.Close(1006, "") } // over either way

// Abort closes the transport.
func (w *Message) Abort() { _ = w.t.Close(1006, "") }

// AbortBlocks returns true.
func (w *Message) AbortBlocks() bool { return true }

// Unsent knows nothing.
func (w *Message) Unsent() (int, bool) { return 0, false }

// Drain does nothing.
func (w *Message) Drain(int) {}

// ReadUntil does nothing.
func (w *Message) ReadUntil(time.Time) {}

// Finish closes the transport with a code and a reason.
func (w *Message) Finish(_ time.Duration, code int, reason string) {
	_ = w.t.Close(code, reason) // the session has ended, so the error is ignored
}

// Remote asks the transport, if it has a method RemoteAddr.
func (w *Message) Remote() netip.AddrPort {
	if r, ok := w.t.(interface{ RemoteAddr() netip.AddrPort }); ok {
		return r.RemoteAddr()
	}
	return netip.AddrPort{}
}

// Kind asks the transport, if it has a method Kind.
func (w *Message) Kind() string {
	if k, ok := w.t.(interface{ Kind() string }); ok {
		return k.Kind()
	}
	return "transport"
}

// Receive implements [Wire].
func (w *Message) Receive(r Receiver) error {
	for {
		p, err := w.t.Receive()
		r.Heard()
		if len(p) > 0 {
			if err := r.Data(p); err != nil {
				return err
			}
		}
		r.BatchEnd()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return io.EOF
			}
			return err
		}
	}
}

// Write sends all frames that are left.
func (w *Message) Write(s Source) (int, error) {
	list := s.Frames()
	if len(list) == 0 {
		return 0, nil
	}
	n := 0
	for _, frame := range list {
		n += len(frame)
	}
	return n, w.t.Send(list)
}
