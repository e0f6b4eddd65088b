package encode

import (
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/broker/internal/wsconn"
	"github.com/hoofbeat/hoofbeat/frames"
)

// minDeflate is roughly the minimum size of the common part of a MESSAGE for
// compression, in bytes. Below it, some 15 µs of work save 50 bytes at best,
// and the MESSAGE is one packet either way.
const minDeflate = 256

// deflatedTails holds the part of the MESSAGE that all subscribers share,
// compressed for each version.
type deflatedTails [frames.V12 + 1]struct {
	deflated []byte // nil: not worth compressing
	tried    bool
	binary   bool // not valid UTF-8
}

// ownDeflated returns the compressed MESSAGE for a subscription, or nil if it
// should be sent uncompressed. The part specific to the subscriber comes first,
// as a stored block. The rest is compressed once for all subscriptions,
// regardless of their ids and acknowledgement modes. This costs some 20 bytes.
func (m *Message) ownDeflated(v frames.Version, to *Recipient, ack Ack) []byte {
	if m.deflated == nil {
		m.deflated = new(deflatedTails)
	}
	t := &m.deflated[v]
	if !t.tried {
		if t.tried = true; m.tailSize() >= minDeflate {
			tail := m.Tail(v)
			t.deflated, t.binary = wsconn.Deflate(tail), m.contents()&contentNotUTF8 != 0
		}
	}
	if t.deflated == nil {
		return nil
	}
	const ahead = 15 // for the headers of WebSocket and of the stored block
	destination := m.seenAs(to)
	b := appendHead(make([]byte, ahead, ahead+64+len(to.ID)+len(destination)+len(t.deflated)), v, to, destination, ack)
	b = append(b, m.Extra...)
	stored := b[ahead:]
	if len(stored) > wsconn.MaxStored {
		return nil
	}
	n := wsconn.DeflatedHeaderSize(len(stored), len(t.deflated))
	wsconn.AppendDeflatedHeader(b[ahead-n:ahead-n:ahead], t.binary || !utf8.Valid(stored), len(stored), len(t.deflated))
	return append(b, t.deflated...)[ahead-n:]
}
