// Package wire is the connection of one client, as a session and its outbox
// see it: a WebSocket, a TCP connection, or a transport from outside.
package wire

import (
	"io"
	"net/netip"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/broker/internal/stream"
	"github.com/hoofbeat/hoofbeat/broker/internal/wsconn"
)

// A Wire is a connection. Receive and Write are each called by one goroutine at
// a time, but concurrently with each other. All other methods may be called at
// any time, TryWrite only while Write is not running.
type Wire interface {
	// Framing returns the format of the frames to write.
	Framing() encode.Framing
	// Receive blocks and passes input to r until the connection ends or r
	// returns an error, which it returns.
	Receive(r Receiver) error
	// CanTry reports whether TryWrite can write at all.
	CanTry() bool
	// TryWrite writes as many bytes as the socket accepts without blocking.
	TryWrite(p []byte) (int, error)
	// Write writes the next part of s, blocking, and returns the number of
	// bytes; 0 when nothing is left.
	Write(s Source) (int, error)
	// Goodbye returns the bytes to write last, after an ERROR: a close frame.
	Goodbye(code int, reason string) []byte
	// Ping returns a frame that the peer's network stack answers, or nil.
	Ping() []byte
	// Unsent returns how many of the written bytes the peer's system has not
	// received yet, and whether that is known.
	Unsent() (int, bool)
	// Finish is called when everything is written. It half-closes the
	// connection and limits how long Receive waits for the end of the peer.
	Finish(linger time.Duration, code int, reason string)
	// ReadUntil makes a running Receive and every later one end at t with
	// os.ErrDeadlineExceeded; the zero time removes the deadline. It does
	// nothing where a read cannot be interrupted.
	ReadUntil(t time.Time)
	// Drain reads and discards further input, until the peer ends, limit bytes
	// were read, or the deadline set by Finish passes.
	Drain(limit int)
	// Abort ends the connection at once. It may block if AbortBlocks says so.
	Abort()
	AbortBlocks() bool
	// Shut releases the connection after Receive has returned.
	Shut()
	// Remote returns the address of the peer, or the zero value if it is not
	// known.
	Remote() netip.AddrPort
	// Kind returns a word for the kind of the connection.
	Kind() string
}

// A Receiver takes the input of a [Wire], on the goroutine that runs Receive. A
// WebSocket calls the methods of [wsconn.Handler]. A TCP connection calls the
// function that Stream returns. A transport from outside calls Heard, Data and
// BatchEnd for each message.
type Receiver interface {
	wsconn.Handler
	// Stream returns the function that takes the input of one read from a
	// stream. Its error ends Receive.
	Stream() func(p []byte) error
	// Heard records a sign of life.
	Heard()
	// BatchEnd is called after the input of one message.
	BatchEnd()
	// InflateLimit returns the maximum size of the next compressed message,
	// inflated, in bytes; 0 if there is none. It may change with each Data.
	InflateLimit() int64
}

// A Source holds the frames that wait to be written. A wire takes them either
// as bytes or as frames.
type Source interface {
	// Chunk returns the bytes to write next, none if nothing is left. Wrote
	// tells how many of them are written.
	Chunk() []byte
	Wrote(n int)
	// Frames takes and returns the frames to write next, none if nothing is
	// left.
	Frames() [][]byte
}

// socket is the common part of [WebSocket] and [TCP].
type socket struct{ c *stream.Conn }

func (w socket) CanTry() bool                   { return w.c.CanTry() }
func (w socket) TryWrite(p []byte) (int, error) { return w.c.TryWrite(p) }
func (w socket) Remote() netip.AddrPort         { return w.c.RemoteAddr() }
func (w socket) Abort()                         { w.c.Abort() }
func (w socket) AbortBlocks() bool              { return w.c.AbortBlocks() }
func (w socket) Unsent() (int, bool)            { return w.c.Unsent() }
func (w socket) Shut()                          { _ = w.c.Close() } // the connection is over either way

func (w socket) Write(s Source) (int, error) {
	p := s.Chunk()
	if len(p) == 0 {
		return 0, nil
	}
	n, err := w.c.Write(p)
	s.Wrote(n)
	return n, err
}

func (w socket) ReadUntil(t time.Time) { _ = w.c.SetReadDeadline(t) } // a lost connection ends Receive anyway

// Finish half-closes, so that the peer reads all written bytes before it sees
// the end: closing with unread input would reset the connection and lose the
// ERROR.
func (w socket) Finish(linger time.Duration, _ int, _ string) {
	if w.c.CloseWrite() != nil || w.c.SetReadDeadline(time.Now().Add(linger)) != nil {
		w.c.Abort()
	}
}

// Drain is called after a protocol violation, after which no input is parsed.
// It returns at once if the connection has ended.
func (w socket) Drain(limit int) {
	_ = w.c.Receive(func(p []byte) error { // the connection is over, whatever the error
		if limit -= len(p); limit < 0 {
			return io.EOF
		}
		return nil
	})
}
