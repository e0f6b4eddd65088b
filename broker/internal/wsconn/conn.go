// Package wsconn is a server-side WebSocket, reduced to what a STOMP broker
// needs: the handshake, a reader that pushes payload as it arrives, and
// encoders for outgoing frames. It buffers no messages in either direction,
// except compressed incoming ones: message boundaries mean nothing to STOMP,
// and the outbox above controls the order of everything written, including
// pongs and close frames.
//
//	func serve(w http.ResponseWriter, r *http.Request) {
//		if err := wsconn.Check(r); err != nil {
//			return // answer with the status of the *wsconn.HandshakeError
//		}
//		c, err := wsconn.Upgrade(w, r, wsconn.Subprotocol(r), false)
//		if err != nil {
//			return
//		}
//		go c.Receive(handler) // pushes into Data, Ping, Pong and Batch
//	}
//
// github.com/gobwas/ws checks the frame headers and unmasks the payload. It was
// chosen for its low cost: a connection keeps nothing but this package's Conn.
// The only extension is permessage-deflate (RFC 7692), if the program enables
// it, and always without context takeover: no connection holds a compressor or
// a window, and a message for many receivers is compressed once.
package wsconn

import (
	"net"

	"github.com/hoofbeat/hoofbeat/broker/internal/stream"
)

// Conn is one WebSocket. It takes 88 bytes in addition to the stream below it.
// It has all methods of the stream (TryWrite, Write, CloseWrite,
// SetReadDeadline, Close, Abort and so on), with the same rules about
// goroutines. Only Receive is different; use Conn.Conn.Receive to drain raw
// input that is no longer needed.
type Conn struct {
	*stream.Conn

	// MaxMessage limits the payload bytes of one message, over all its
	// fragments. A message whose header announces more ends Receive before its
	// payload is read. For a compressed message the inflated bytes count: it
	// ends Receive where they exceed the limit, or before it is read if even
	// its compressed size is too large to fit. 0 means no limit. Only set it
	// before Receive or from the Handler; a change applies from the next frame
	// on.
	MaxMessage int64

	in decoder
}

// New wraps a connection after its handshake. early holds bytes that the client
// sent after the handshake; Receive delivers them first. New keeps the slice.
func New(nc net.Conn, early []byte) *Conn {
	return &Conn{Conn: stream.New(nc, early)}
}

// Deflate reports whether permessage-deflate was negotiated: the peer may send
// compressed messages, and accepts those of AppendDeflatedHeader.
func (c *Conn) Deflate() bool { return c.in.deflate }

// Handler receives what arrives. Receive makes all calls from its goroutine,
// one after another, in the order of the wire. Slices are valid during the call
// and may be changed in place.
type Handler interface {
	// Data receives unmasked payload of text and binary messages as it arrives:
	// all or part of one message, never of two. In a text message it gets
	// nothing from the first byte that is not UTF-8. A compressed message
	// arrives inflated, once it is complete, in parts of at most 4 KiB.
	Data(p []byte) error
	// Ping receives a ping. Answer it with the same payload, at most 125 bytes;
	// see AppendPong.
	Ping(payload []byte)
	// Pong reports a pong, a sign of life.
	Pong()
	// Batch is called once after all other calls for one socket read, also
	// before Receive returns a *CloseError or a *ProtocolError. Use it to send
	// what those calls have collected.
	Batch() error
}

// Receive reads until the connection ends and returns the cause:
//
//   - *CloseError: the peer sent a close frame. Anything after it is ignored.
//   - *ProtocolError: the peer violated RFC 6455 or exceeded MaxMessage. Close
//     with its code.
//   - io.EOF: the peer left without a close frame, which is code 1006.
//   - An error of the Handler, unchanged.
//   - A network error; see [stream.Conn.Receive].
//
// Only one Receive may run at a time, in any goroutine; writing may go on beside
// it. It may be called again in two cases, and then continues at the byte where
// it stopped, also within a message, a character or a header: after an error of
// Batch, by which time all bytes read were handed over, and after the read
// deadline. In all other cases it must not be called again: after an error of
// Data, for example, the rest of the bytes that were read is lost. If the peer
// ended the connection with the bytes for which Batch returned an error, Receive
// returns how the peer ended it.
//
// The slices that the Handler gets belong to Receive, except during the call.
func (c *Conn) Receive(h Handler) error {
	return c.Conn.Receive(func(p []byte) error {
		end, err := c.in.feed(h, p, &c.MaxMessage)
		if err != nil {
			return err
		}
		if err := h.Batch(); err != nil && end == nil {
			return err
		}
		return end
	})
}
