// Package encode makes the bytes of STOMP frames: of a message, once for all of
// its subscribers, and of the frames for one session.
package encode

import (
	"strconv"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/frames"
)

// A Message is one message being delivered to its subscribers. Their MESSAGE
// frames differ only in `subscription` (and in `ack` for the client modes).
// Clients number their subscriptions alike, so most subscribers share the same
// bytes, including the WebSocket header: each distinct frame is encoded once.
//
// The caller sets the exported fields before the first frame and leaves all but
// Single and Extra unchanged until [Message.Reset]. Call [Message.Fit] before any method
// that makes a frame. A Message is not safe for concurrent use.
type Message struct {
	ID          string // message-id; if empty it is Prefix followed by Seq
	Prefix      string
	Seq         uint64
	Destination string
	Headers     []frames.Header // may include reserved headers, which are skipped
	Body        []byte
	Redelivered bool
	Offset      Offset
	Single      bool   // at most one subscriber: caching is useless
	Extra       string // encoded headers of the next frame that Own or Append makes; the caller clears it

	content  content              // result of contents
	cleaned  map[content]*Message // adapted copies for subscribers that cannot receive the original
	tails    [frames.V12 + 1][]byte
	deflated *deflatedTails // the compressed tails, made for the first subscriber that needs them
	distinct []distinct
}

// A Recipient is the part of a subscription that its MESSAGE frames show.
type Recipient struct {
	ID string // the id from the client; "" for a STOMP 1.0 client that sent none
	As string // destination in the frames, if not the message's
}

// distinct is one distinct frame of a message.
type distinct struct {
	framing Framing
	version frames.Version
	to      Recipient
	frame   []byte
}

// serves reports whether a subscription gets this frame. Clients number their
// subscriptions, so ids of equal length mostly differ in the last byte: it is
// compared before the rest.
func (d *distinct) serves(f Framing, v frames.Version, to *Recipient) bool {
	n := len(to.ID)
	return len(d.to.ID) == n && (n == 0 || d.to.ID[n-1] == to.ID[n-1]) &&
		d.framing == f && d.version == v && d.to.ID == to.ID && d.to.As == to.As
}

// maxDistinct bounds the cache. If there are more distinct frames, subscribers
// have ids of their own, and a lookup costs more than it saves.
const maxDistinct = 8

// Reset clears all fields, so that a pooled Message keeps nothing alive.
func (m *Message) Reset() {
	clear(m.distinct)
	*m = Message{distinct: m.distinct[:0]}
}

// Distinct returns how many frames [Message.Frame] keeps to share them.
func (m *Message) Distinct() int { return len(m.distinct) }

// Frame returns the MESSAGE for a subscription with `ack:auto`. The bytes are
// shared and must not be modified.
func (m *Message) Frame(f Framing, v frames.Version, to *Recipient) []byte {
	for i := range m.distinct {
		if d := &m.distinct[i]; d.serves(f, v, to) {
			return d.frame
		}
	}
	frame := m.Own(f, v, to, Ack{})
	if len(m.distinct) < maxDistinct {
		m.distinct = append(m.distinct, distinct{f, v, *to, frame})
	}
	return frame
}

// Own returns a MESSAGE for one subscription in memory of its own.
func (m *Message) Own(f Framing, v frames.Version, to *Recipient, ack Ack) []byte {
	if f == FramingDeflate {
		if frame := m.ownDeflated(v, to, ack); frame != nil {
			return frame
		}
	}
	_, frame := m.append(make([]byte, 0, m.Size(to)), f, v, to, ack, true)
	return frame
}

// Append appends a MESSAGE for one subscription, uncompressed, to b. It returns
// b and the part of b to write. No other frame shares the memory of b.
func (m *Message) Append(b []byte, f Framing, v frames.Version, to *Recipient, ack Ack) (grown, frame []byte) {
	return m.append(b, f, v, to, ack, false)
}

// append is Append. With keep, nothing else is ever written to b, so that other
// frames may share its tail.
func (m *Message) append(b []byte, f Framing, v frames.Version, to *Recipient, ack Ack, keep bool) (grown, frame []byte) {
	start := len(b)
	b = append(b, make([]byte, headroom)...)
	b = appendHead(b, v, to, m.seenAs(to), ack)
	b = append(b, m.Extra...)
	switch {
	case m.tails[v] != nil:
		b = append(b, m.tails[v]...)
	case m.Single:
		b = m.appendTail(b, v)
	case keep:
		tail := len(b)
		b = m.appendTail(b, v)
		m.tails[v] = b[tail:len(b):len(b)]
	default:
		b = append(b, m.Tail(v)...)
	}
	b = terminated(b, f)
	return b, framed(b[start:len(b):len(b)], f, f.webSocket() && m.binary(to))
}

// Size estimates, generously, the number of bytes that Append adds.
func (m *Message) Size(to *Recipient) int {
	return headroom + 96 + len(to.ID) + len(m.seenAs(to)) + m.tailSize()
}

// binary reports whether the MESSAGE for a subscription must be a binary
// WebSocket message because it is not UTF-8.
func (m *Message) binary(to *Recipient) bool {
	return m.contents()&contentNotUTF8 != 0 || !utf8.ValidString(to.ID) || !utf8.ValidString(to.As)
}

// appendHead appends the part of a MESSAGE that is specific to the subscriber.
func appendHead(b []byte, v frames.Version, to *Recipient, destination string, ack Ack) []byte {
	b = append(b, "MESSAGE\n"...)
	if to.ID != "" || v != frames.V10 { // only STOMP 1.0 allows a subscription without an id
		b = frames.AppendHeader(b, v, frames.HeaderSubscription, to.ID)
	}
	b = frames.AppendHeader(b, v, frames.HeaderDestination, destination)
	if ack.Number != 0 {
		b = append(b, "ack:"...)
		b = ack.append(b)
		b = append(b, '\n')
	}
	return b
}

// seenAs returns the destination that the MESSAGE for a subscription carries.
func (m *Message) seenAs(to *Recipient) string {
	if to.As != "" {
		return to.As
	}
	return m.Destination
}

// tailSize estimates, generously, the number of bytes that appendTail adds.
func (m *Message) tailSize() int {
	size := 64 + len(m.ID) + len(m.Prefix) + len(m.Body)
	if m.Offset.Number != 0 {
		size += offsetSize
	}
	for i := range m.Headers {
		size += len(m.Headers[i].Name) + len(m.Headers[i].Value) + 2
	}
	return size
}

// Tail returns the part of the MESSAGE that all subscribers share, as encoded
// for a version: message-id, headers and body, without what is specific to the
// subscriber. The bytes must not be modified.
func (m *Message) Tail(v frames.Version) []byte {
	if m.tails[v] == nil {
		m.tails[v] = m.appendTail(make([]byte, 0, m.tailSize()), v)
	}
	return m.tails[v]
}

func (m *Message) appendTail(b []byte, v frames.Version) []byte {
	if m.ID != "" {
		b = frames.AppendHeader(b, v, frames.HeaderMessageID, m.ID)
	} else {
		b = append(b, "message-id:"...)
		b = append(b, m.Prefix...)
		b = strconv.AppendUint(b, m.Seq, 10)
		b = append(b, '\n')
	}
	if m.Redelivered {
		b = append(b, "redelivered:true\n"...)
	}
	if m.Offset.Number != 0 {
		b = m.Offset.append(b, v)
	}
	for i := range m.Headers {
		if h := &m.Headers[i]; !Reserved(h.Name) {
			b = frames.AppendHeader(b, v, h.Name, h.Value)
		}
	}
	b = append(b, "content-length:"...)
	b = strconv.AppendInt(b, int64(len(m.Body)), 10)
	b = append(b, "\n\n"...)
	b = append(b, m.Body...)
	return append(b, 0)
}
