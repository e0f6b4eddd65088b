package broker

import (
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/broker/internal/wsconn"
	"github.com/hoofbeat/hoofbeat/frames"
)

// deflateWire is a WebSocket that negotiated permessage-deflate. It is a type of
// its own so that the others do not have to ask.
type deflateWire struct{ webSocketWire }

func (w deflateWire) framing() framing { return framingDeflate }
func (w deflateWire) receive(s *session) error {
	in := &deflateInput{webSocketInput: (*webSocketInput)(s), ws: w.ws}
	in.limit()
	return w.ws.Receive(in)
}

// deflateInput holds what a compressed message may inflate to in step with the
// session. The limits of STOMP are for frames; this is for what stands around
// and between them, or a few bytes could say a million things.
type deflateInput struct {
	*webSocketInput
	ws *wsconn.Conn
}

func (i *deflateInput) Data(p []byte) error {
	err := i.webSocketInput.Data(p)
	i.limit()
	return err
}

// limit leaves room for the largest frame and as much again that comes with it.
// It is the limit of other messages, too: they may have been compressed or not
// for reasons that only the client's library knows.
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

// minDeflate is about how many bytes the common part of a MESSAGE must have to
// be compressed. Below it some 15 µs of work save 50 bytes at best, and what goes
// out is one packet either way.
const minDeflate = 256

// deflatedTails are what the subscribers of a publication have in common, as it
// is compressed for each version.
type deflatedTails [frames.V12 + 1]struct {
	octets []byte // nil: not worth it
	tried  bool
	binary bool // not valid UTF-8
}

// encodeDeflated makes the compressed MESSAGE for sub, nil if it had better go
// out as it is. What is the subscriber's own comes first and is stored in it;
// what follows is compressed once, however many subscriptions there are, whatever
// their ids, and whether they acknowledge or not. The price is some 20 bytes.
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
	const ahead = 15 // for the headers of WebSocket and of what is stored
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
