package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/broker/internal/stream"
	"github.com/hoofbeat/hoofbeat/broker/internal/wsconn"
)

// Transport is a connection that the broker did not accept itself: a socket
// that another WebSocket library upgraded, a SockJS session, a test. It carries
// the bytes of STOMP; the broker handles heart-beats, limits and deadlines.
//
// A Transport may have three more methods: RemoteAddr() netip.AddrPort, the
// peer of a session without an HTTP request; Kind() string, a constant word for
// SessionInfo.Transport instead of "transport"; and TextOnly() bool, a constant
// that is true if the Transport can carry only UTF-8. In a MESSAGE for a
// text-only Transport, invalid UTF-8 is replaced with U+FFFD, the replacement
// character, so that one sender cannot break the connections of others. These
// methods may be called before any other method and at any time, and must not
// block.
//
// Receive and Send are each called by one goroutine at a time, but concurrently
// with each other. Close may be called at any time, more than once and from
// several goroutines, and must make both return.
type Transport interface {
	// Receive blocks until the client sends bytes and returns them, split at
	// any position; the slice may be reused at the next call. Its error tells
	// how the connection ended:
	//
	//   - [*CloseError]: the peer sent a WebSocket close frame.
	//   - [*Error]: end the session for this reason and report it to the
	//     client.
	//   - io.EOF: the peer left without a close frame.
	//   - Any other: the connection was lost.
	Receive() ([]byte, error)
	// Send writes complete STOMP frames. Each must become a separate message:
	// text if utf8.Valid returns true, else binary. The slices are shared and
	// must not be modified or kept.
	Send(frames [][]byte) error
	// Close ends the connection with a WebSocket close code and a
	// human-readable reason. Code 1006 means to abort at once without a close
	// frame. Close may block, for example until the peer answers; no other
	// session waits for it. It must return eventually, since [Broker.Close]
	// waits for it.
	Close(code int, reason string) error
}

// CloseError is the error that [Transport.Receive] returns after the peer sent
// a WebSocket close frame. The session ends with [ReasonDisconnect] and Code as
// [Error.ClientCode], so that observers can distinguish a closed page from a
// broken connection.
type CloseError struct {
	// Code is the code of the frame, such as 1000 or 1001; 1005 or 0 if the
	// frame had none. 1006 and 1015 never appear in a frame: they mean a lost
	// connection.
	Code   int
	Reason string
}

func (e *CloseError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("closed by the peer with code %d", e.Code)
	}
	return fmt.Sprintf("closed by the peer with code %d: %q", e.Code, e.Reason)
}

// Serve runs a session over t and returns when it has ended: nil after a
// goodbye from either side, otherwise the reason as an [*Error]. The Admission
// comes from [Broker.Admit], or is the zero value for a peer without an HTTP
// request; Serve releases its place among the unauthenticated sockets.
// Cancelling ctx ends the session.
func (b *Broker) Serve(ctx context.Context, t Transport, a Admission) error {
	s, err := b.newSession(newMessageWire(t), &a.entry)
	if err != nil {
		a.Release()
		_ = t.Close(ReasonDraining.CloseCode(), err.Error())
		return err
	}
	stop := context.AfterFunc(ctx, func() {
		s.endNow(failure(ReasonKicked, "session ended"))
	})
	defer stop()
	done := make(chan struct{})
	if !b.spawn(func() { defer close(done); s.run() }) {
		s.abandon()
		return ErrClosed
	}
	<-done
	if f := s.cause(); f.Reason != ReasonDisconnect && f.Reason != ReasonDraining {
		return f
	}
	return nil
}

// wire is the interface of a connection for its session and outbox. There are
// three implementations: WebSocket, TCP, and an external Transport.
type wire interface {
	framing() encode.Framing
	// receive blocks and passes input to the session (session.data,
	// session.ping, session.batchEnd) until the connection ends.
	receive(s *session) error
	// canTry reports whether tryWrite can write at all.
	canTry() bool
	// tryWrite writes as many bytes as the socket accepts without blocking.
	tryWrite(p []byte) (int, error)
	// write writes the next part of d, blocking, and returns the number of
	// bytes; 0 when d is finished.
	write(d *drain) (int, error)
	// goodbye returns the bytes to write last, after an ERROR: a close frame.
	goodbye(code int, reason string) []byte
	// ping returns a frame that the peer's network stack answers, or nil.
	ping() []byte
	// unsent returns how many of the written bytes the peer's system has not
	// received yet, and whether that is known.
	unsent() (int, bool)
	// finish is called when everything is written. It half-closes the
	// connection and limits how long receive waits for the end of the peer.
	finish(linger time.Duration, code int, reason string)
	// readUntil makes a running receive and every later one end at t with
	// os.ErrDeadlineExceeded; the zero time removes the deadline. It does
	// nothing where a read cannot be interrupted.
	readUntil(t time.Time)
	// drain reads and discards further input, until the peer ends or the
	// deadline set by finish passes.
	drain()
	// abort ends the connection at once. It may block if abortBlocks says so; see
	// [session.abort].
	abort()
	abortBlocks() bool
	// shut releases the connection after receive has returned.
	shut()
	remote() netip.AddrPort
	kind() string
}

// byteWire is the common part of webSocketWire and tcpWire.
type byteWire struct{ c *stream.Conn }

func (w byteWire) canTry() bool                   { return w.c.CanTry() }
func (w byteWire) tryWrite(p []byte) (int, error) { return w.c.TryWrite(p) }
func (w byteWire) remote() netip.AddrPort         { return w.c.RemoteAddr() }
func (w byteWire) abort()                         { w.c.Abort() }
func (w byteWire) abortBlocks() bool              { return w.c.AbortBlocks() }
func (w byteWire) unsent() (int, bool)            { return w.c.Unsent() }
func (w byteWire) shut()                          { _ = w.c.Close() } // the connection is over either way

func (w byteWire) write(d *drain) (int, error) {
	p := d.chunk()
	if len(p) == 0 {
		return 0, nil
	}
	n, err := w.c.Write(p)
	d.out = d.out[n:]
	return n, err
}

func (w byteWire) readUntil(t time.Time) { _ = w.c.SetReadDeadline(t) } // a lost connection ends receive anyway

// finish half-closes, so that the peer reads all written bytes before it sees
// the end: closing with unread input would reset the connection and lose the
// ERROR.
func (w byteWire) finish(linger time.Duration, _ int, _ string) {
	if w.c.CloseWrite() != nil || w.c.SetReadDeadline(time.Now().Add(linger)) != nil {
		w.c.Abort()
	}
}

// drain is called after a protocol violation, after which no input is parsed.
// It returns at once if the connection has ended.
func (w byteWire) drain() {
	left := maxLinger
	_ = w.c.Receive(func(p []byte) error { // the connection is over, whatever the error
		if left -= len(p); left < 0 {
			return io.EOF
		}
		return nil
	})
}

type webSocketWire struct {
	byteWire
	ws *wsconn.Conn
}

func (w webSocketWire) framing() encode.Framing  { return encode.FramingWebSocket }
func (w webSocketWire) receive(s *session) error { return w.ws.Receive((*webSocketInput)(s)) }
func (w webSocketWire) ping() []byte             { return wsconn.AppendPing(nil, nil) }
func (w webSocketWire) kind() string             { return "websocket" }
func (w webSocketWire) goodbye(code int, reason string) []byte {
	return wsconn.AppendClose(nil, code, reason)
}

// webSocketInput is the interface of the session for wsconn.
type webSocketInput session

func (i *webSocketInput) Data(p []byte) error { return (*session)(i).data(p) }
func (i *webSocketInput) Ping(payload []byte) {
	s := (*session)(i)
	s.out.answerPing(wsconn.AppendPong(nil, payload), s.work())
}
func (i *webSocketInput) Pong() {}

// Batch is called after every read from the socket: any input shows that the
// client is alive.
func (i *webSocketInput) Batch() error {
	s := (*session)(i)
	s.heard()
	s.batchEnd()
	return s.rested()
}

type tcpWire struct{ byteWire }

func (w tcpWire) framing() encode.Framing    { return encode.FramingStream }
func (w tcpWire) ping() []byte               { return nil }
func (w tcpWire) goodbye(int, string) []byte { return nil }
func (w tcpWire) kind() string               { return "tcp" }
func (w tcpWire) receive(s *session) error {
	return w.c.Receive(func(p []byte) error {
		s.heard()
		err := s.data(p)
		s.batchEnd()
		if err == nil {
			err = s.rested()
		}
		return err
	})
}

// messageWire is an external Transport. Any write may block, so only the writer
// goroutine writes.
type messageWire struct {
	t    Transport
	form encode.Framing // encode.FramingMessage or encode.FramingText
}

func newMessageWire(t Transport) *messageWire {
	form := encode.FramingMessage
	if text, ok := t.(interface{ TextOnly() bool }); ok && text.TextOnly() {
		form = encode.FramingText
	}
	return &messageWire{t, form}
}

func (w *messageWire) framing() encode.Framing      { return w.form }
func (w *messageWire) canTry() bool                 { return false }
func (w *messageWire) tryWrite([]byte) (int, error) { return 0, nil }
func (w *messageWire) ping() []byte                 { return nil }
func (w *messageWire) goodbye(int, string) []byte   { return nil }
func (w *messageWire) shut()                        { _ = w.t.Close(1006, "") } // over either way
func (w *messageWire) abort()                       { _ = w.t.Close(1006, "") }
func (w *messageWire) abortBlocks() bool            { return true }
func (w *messageWire) unsent() (int, bool)          { return 0, false }
func (w *messageWire) drain()                       {}
func (w *messageWire) readUntil(time.Time)          {}
func (w *messageWire) finish(_ time.Duration, code int, reason string) {
	_ = w.t.Close(code, reason) // the session has ended, so the error is ignored
}

func (w *messageWire) remote() netip.AddrPort {
	if r, ok := w.t.(interface{ RemoteAddr() netip.AddrPort }); ok {
		return r.RemoteAddr()
	}
	return netip.AddrPort{}
}

func (w *messageWire) kind() string {
	if k, ok := w.t.(interface{ Kind() string }); ok {
		return k.Kind()
	}
	return "transport"
}

func (w *messageWire) receive(s *session) error {
	for {
		p, err := w.t.Receive()
		s.heard()
		if len(p) > 0 {
			if err := s.data(p); err != nil {
				return err
			}
		}
		s.batchEnd()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return io.EOF
			}
			return err
		}
	}
}

func (w *messageWire) write(d *drain) (int, error) {
	if n := len(d.out); n > 0 {
		err := w.t.Send([][]byte{d.out})
		d.out = nil
		return n, err
	}
	if d.segs == nil || d.next == len(d.segs.list) {
		return 0, nil
	}
	list := d.segs.list[d.next:]
	d.next = len(d.segs.list)
	n := 0
	for _, seg := range list {
		n += len(seg)
	}
	return n, w.t.Send(list)
}
