package broker

import (
	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/broker/internal/wsconn"
)

// deflateWire is a WebSocket that negotiated permessage-deflate. It is a
// separate type so that other WebSockets need no check.
type deflateWire struct{ webSocketWire }

func (w deflateWire) framing() encode.Framing { return encode.FramingDeflate }
func (w deflateWire) receive(s *session) error {
	in := &deflateInput{webSocketInput: (*webSocketInput)(s), ws: w.ws}
	in.limit()
	return w.ws.Receive(in)
}

// deflateInput adjusts the maximum inflated size of a compressed message to the
// state of the session. The STOMP limits apply to frames. This limit also
// covers the bytes around and between frames, which could otherwise inflate
// from a few bytes to millions.
type deflateInput struct {
	*webSocketInput
	ws *wsconn.Conn
}

func (i *deflateInput) Data(p []byte) error {
	err := i.webSocketInput.Data(p)
	i.limit()
	return err
}

// limit allows twice the size of the largest frame: the frame and as many other
// bytes in the same message. The limit also applies to uncompressed messages,
// because the client's library decides which messages it compresses.
func (i *deflateInput) limit() {
	s := (*session)(i.webSocketInput)
	frame := s.b.policy.Load().limits.Frame
	if !s.joined {
		frame = min(frame, s.b.policy.Load().limits.UnauthenticatedFrame)
	}
	i.ws.MaxMessage = 0
	if frame != unlimited {
		i.ws.MaxMessage = 2 * int64(frame)
	}
}
