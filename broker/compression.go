package broker

import (
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/broker/internal/wsconn"
	"github.com/hoofbeat/hoofbeat/frames"
)

// deflateWire is a WebSocket that negotiated permessage-deflate. It is a
// separate type so that other WebSockets need no check.
type deflateWire struct{ webSocketWire }

func (w deflateWire) framing() framing { return framingDeflate }
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

// minDeflate is roughly the minimum size of the common part of a MESSAGE for
// compression, in bytes. Below it, some 15 µs of work save 50 bytes at best,
// and the MESSAGE is one packet either way.
const minDeflate = 256

// deflatedTails holds the part of the MESSAGE that all subscribers of a
// publication share, compressed for each version.
type deflatedTails [frames.V12 + 1]struct {
	octets []byte // nil: not worth compressing
	tried  bool
	binary bool // not valid UTF-8
}

// encodeDeflated returns the compressed MESSAGE for sub, or nil if it should be
// sent uncompressed. The part specific to the subscriber comes first, as a
// stored block. The rest is compressed once for all subscriptions, regardless
// of their ids and acknowledgement modes. This costs some 20 bytes.
func (p *publication) encodeDeflated(v frames.Version, sub *subscription, ack uint64) []byte {
	if p.deflated == nil {
		p.deflated = new(deflatedTails)
	}
	t := &p.deflated[v]
	if !t.tried {
		if t.tried = true; p.tailSize() >= minDeflate {
			tail := p.tail(v)
			t.octets, t.binary = wsconn.Deflate(tail), p.contents()&contentNotUTF8 != 0
		}
	}
	if t.octets == nil {
		return nil
	}
	const ahead = 15 // for the headers of WebSocket and of the stored block
	destination := p.seenAs(sub)
	b := appendHead(make([]byte, ahead, ahead+64+len(sub.id)+len(destination)+len(t.octets)), v, sub, destination, ack)
	stored := b[ahead:]
	if len(stored) > wsconn.MaxStored {
		return nil
	}
	n := wsconn.DeflatedHeaderSize(len(stored), len(t.octets))
	wsconn.AppendDeflatedHeader(b[ahead-n:ahead-n:ahead], t.binary || !utf8.Valid(stored), len(stored), len(t.octets))
	return append(b, t.octets...)[ahead-n:]
}
