package wire

import (
	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/broker/internal/wsconn"
)

// WebSocket is a WebSocket that this process accepted.
type WebSocket struct {
	socket
	ws *wsconn.Conn
}

// NewWebSocket returns the Wire of a WebSocket.
func NewWebSocket(c *wsconn.Conn) Wire {
	w := WebSocket{socket{c.Conn}, c}
	if c.Deflate() {
		return deflated{w}
	}
	return w
}

// Framing returns encode.FramingWebSocket.
func (w WebSocket) Framing() encode.Framing { return encode.FramingWebSocket }

// Receive implements [Wire].
func (w WebSocket) Receive(r Receiver) error { return w.ws.Receive(r) }

// Ping returns a ping.
func (w WebSocket) Ping() []byte { return wsconn.AppendPing(nil, nil) }

// Kind returns "websocket".
func (w WebSocket) Kind() string { return "websocket" }

// Goodbye returns a close frame.
func (w WebSocket) Goodbye(code int, reason string) []byte {
	return wsconn.AppendClose(nil, code, reason)
}

// deflated is a WebSocket that negotiated permessage-deflate. It is a separate
// type so that other WebSockets need no check.
type deflated struct{ WebSocket }

func (w deflated) Framing() encode.Framing { return encode.FramingDeflate }

func (w deflated) Receive(r Receiver) error {
	in := &limited{r, w.ws}
	in.limit()
	return w.ws.Receive(in)
}

// limited adjusts the maximum inflated size of a compressed message after each
// part of one.
type limited struct {
	Receiver
	ws *wsconn.Conn
}

func (l *limited) Data(p []byte) error {
	err := l.Receiver.Data(p)
	l.limit()
	return err
}

func (l *limited) limit() { l.ws.MaxMessage = l.InflateLimit() }
