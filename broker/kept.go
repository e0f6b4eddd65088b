package broker

import (
	"strconv"
	"strings"

	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// What a frame brought is copied before it is kept: every string of a decoded
// frame keeps its whole header block alive, the headers that are dropped and the
// secrets among them included. The copy has its strings in one block of memory
// and counts against its limit with all that it takes.
const (
	// messageOverhead is what a stored message takes beside its text: the Message
	// (96 bytes), its place in the queue (32 to 128) or its delivery and the place
	// among the unacknowledged (64 and 40 to 80), and rounding by the allocator.
	messageOverhead = 256
	// frameOverhead is the same for a frame in a transaction.
	frameOverhead = 128
	// transactionOverhead is the same for an open transaction.
	transactionOverhead = 256
	// headerOverhead is the size of a Header without its text.
	headerOverhead = 32
)

// packed is a block of memory for strings that are kept together.
type packed struct{ b strings.Builder }

// add appends s to the block, which must have been grown for it, and returns
// the copy.
func (k *packed) add(s string) string {
	at := k.b.Len()
	k.b.WriteString(s)
	return k.b.String()[at:]
}

// keepMessage returns the publication as a Message that shares no memory with
// the frame it came in.
func keepMessage(p *publication) *Message {
	var digits [20]byte
	id, number := p.id, digits[:0]
	if id == "" {
		id, number = p.prefix, strconv.AppendUint(number, p.seq, 10)
	}
	n, size := 0, len(p.destination)+len(id)+len(number)
	for i := range p.headers {
		if h := &p.headers[i]; !Reserved(h.Name) {
			n++
			size += len(h.Name) + len(h.Value)
		}
	}
	var k packed
	k.b.Grow(size)
	m := &Message{Destination: k.add(p.destination), Body: append([]byte(nil), p.body...)}
	m.ID = k.add(id)
	if len(number) > 0 {
		at := k.b.Len() - len(id)
		k.b.Write(number)
		m.ID = k.b.String()[at:]
	}
	if n > 0 {
		m.Headers = make([]frames.Header, 0, n)
		for i := range p.headers {
			if h := &p.headers[i]; !Reserved(h.Name) {
				m.Headers = append(m.Headers, frames.Header{Name: k.add(h.Name), Value: k.add(h.Value)})
			}
		}
	}
	return m
}

// messageSize is what a stored message counts for: the memory it takes.
func messageSize(m *Message) int {
	return messageOverhead + len(m.Destination) + len(m.ID) + len(m.Body) + headersSize(m.Headers)
}

func headersSize(list []frames.Header) int {
	n := headerOverhead * len(list)
	for i := range list {
		n += len(list[i].Name) + len(list[i].Value)
	}
	return n
}

// keepFrame returns a copy of a SEND, ACK or NACK for a transaction, and what it
// counts for. A handler gets all headers of its SEND; of every other frame those
// are left out that are not looked at again.
func keepFrame(f *frames.Frame, kind topics.Kind) (kept frames.Frame, size int) {
	all := kind == topics.App || kind == topics.UserPrivate
	n, text := 0, 0
	for i := range f.Headers {
		if h := &f.Headers[i]; all || keptInTransaction(h.Name) {
			n++
			text += len(h.Name) + len(h.Value)
		}
	}
	var k packed
	k.b.Grow(text)
	kept = frames.Frame{Command: f.Command, Headers: make([]frames.Header, 0, n), Body: append([]byte(nil), f.Body...)}
	for i := range f.Headers {
		if h := &f.Headers[i]; all || keptInTransaction(h.Name) {
			kept.Headers = append(kept.Headers, frames.Header{Name: k.add(h.Name), Value: k.add(h.Value)})
		}
	}
	return kept, frameOverhead + len(kept.Body) + headersSize(kept.Headers)
}

// keptInTransaction reports whether COMMIT looks at a header: those that the
// message will have, and those that say where a frame goes and what it answers.
func keptInTransaction(name string) bool {
	switch name {
	case frames.HeaderDestination, frames.HeaderID, frames.HeaderMessageID, frames.HeaderSubscription:
		return true
	}
	return !Reserved(name)
}
