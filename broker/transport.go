package broker

import (
	"context"
	"fmt"

	"github.com/hoofbeat/hoofbeat/broker/internal/wire"
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
	s, err := b.newSession(wire.NewMessage(t), &a.entry)
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
