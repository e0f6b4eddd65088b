// Package wsconn is one server-side WebSocket, reduced to what a STOMP broker
// needs: the handshake, a reader that pushes payload as it arrives, and
// encoders for what goes out. It buffers no message in either direction, but
// compressed ones on their way in: where messages begin and end means nothing to
// STOMP, and the order of everything written, pongs and close frames included,
// belongs to the outbox above.
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
// The frame headers are checked and unmasked by github.com/gobwas/ws, for
// what that costs per connection: nothing is kept but this package's Conn.
// The one extension is permessage-deflate (RFC 7692), if the program wants it,
// and always without context takeover: no connection holds a compressor or a
// window, and what is sent to many is compressed once.
package wsconn

import (
	"net"

	"github.com/hoofbeat/hoofbeat/broker/internal/stream"
)

// Conn is one WebSocket, 88 bytes besides the stream below it. What the stream
// can do (TryWrite, Write, CloseWrite, SetReadDeadline, Close, Abort and so on)
// it can do too, with the same rules about goroutines; only Receive is its own.
// Conn.Conn.Receive is the raw one, to drain input that nobody wants any more.
type Conn struct {
	*stream.Conn

	// MaxMessage limits the payload bytes of one message, all its fragments
	// together; a message that says it is larger ends Receive before it is
	// read. Of a compressed message the inflated bytes count: it ends Receive
	// where it exceeds the limit, and before it is read if it is compressed
	// too large to be one within it. 0 means no limit. It belongs to the
	// goroutine in Receive: set it before, or from the Handler; it counts from
	// the next frame on.
	MaxMessage int64

	in decoder
}

// New wraps a connection whose handshake is done. early are bytes that the
// client sent behind the handshake, which Receive delivers first; New keeps
// the slice.
func New(nc net.Conn, early []byte) *Conn {
	return &Conn{Conn: stream.New(nc, early)}
}

// Deflate reports whether permessage-deflate was negotiated: the peer may send
// compressed messages, and takes those of AppendDeflatedHeader.
func (c *Conn) Deflate() bool { return c.in.deflate }

// Handler takes what arrives. All calls come from the goroutine in Receive, one
// after another, in the order of the wire; slices are valid during the call and
// may be changed in place.
type Handler interface {
	// Data takes unmasked payload of text and binary messages, as it arrives:
	// a part of a message, or all of one, never two at once. Of text messages
	// it gets nothing from the first byte on that is not UTF-8. A compressed
	// message comes inflated, in parts of at most 4 KiB, when it is complete.
	Data(p []byte) error
	// Ping must be answered with the same payload, at most 125 bytes; see AppendPong.
	Ping(payload []byte)
	// Pong is a sign of life.
	Pong()
	// Batch comes once after everything that one socket read brought, also
	// before Receive returns a *CloseError or a *ProtocolError: the moment to
	// send what the calls before have collected.
	Batch() error
}

// Receive reads until the connection ends and says how it ended:
//
//   - *CloseError: the peer sent a close frame; what it sent behind is ignored.
//   - *ProtocolError: the peer broke RFC 6455 or MaxMessage. Close with its code.
//   - io.EOF: the peer left without a close frame, which is code 1006.
//   - An error of the Handler, as it is. If Batch returned it, everything that
//     was read has been handed over, and Receive may be called again, by any
//     goroutine; if Data did, it must not be.
//   - An error of the network; see [stream.Conn.Receive]. After the read
//     deadline Receive may be called again.
//
// After every other end it must not be called again.
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
