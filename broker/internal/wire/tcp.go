package wire

import (
	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/broker/internal/stream"
)

// TCP is a plain connection, or one with TLS.
type TCP struct{ socket }

// NewTCP returns the Wire of a connection.
func NewTCP(c *stream.Conn) TCP { return TCP{socket{c}} }

// Framing returns encode.FramingStream.
func (w TCP) Framing() encode.Framing { return encode.FramingStream }

// Ping returns nil.
func (w TCP) Ping() []byte { return nil }

// Goodbye returns nil.
func (w TCP) Goodbye(int, string) []byte { return nil }

// Kind returns "tcp".
func (w TCP) Kind() string { return "tcp" }

// Receive implements [Wire].
func (w TCP) Receive(r Receiver) error { return w.c.Receive(r.Stream()) }
