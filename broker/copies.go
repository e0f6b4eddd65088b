package broker

import (
	"strconv"
	"strings"

	"github.com/hoofbeat/hoofbeat/frames"
)

// Strings of a frame are copied before they are kept: every string of a decoded
// frame keeps its whole header block alive, including dropped headers and
// secrets. The copy holds its strings in one block of memory, and its whole
// size counts against the limit.
const (
	// messageOverhead is the memory of a stored message besides its text, in
	// bytes: the Message (96), its place in the queue (32 to 128) or its
	// delivery (64) and its place among the unacknowledged (40 to 80), and
	// rounding by the allocator.
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

// add appends s to the block and returns the copy. The block must already have
// the capacity.
func (k *packed) add(s string) string {
	at := k.b.Len()
	k.b.WriteString(s)
	return k.b.String()[at:]
}

// keepMessage returns the publication as a Message that shares no memory with
// its frame.
func keepMessage(p *publication) *Message {
	var digits [20]byte
	id, number := p.ID, digits[:0]
	if id == "" {
		id, number = p.Prefix, strconv.AppendUint(number, p.Seq, 10)
	}
	n, size := 0, len(p.Destination)+len(id)+len(number)
	for i := range p.Headers {
		if h := &p.Headers[i]; !Reserved(h.Name) {
			n++
			size += len(h.Name) + len(h.Value)
		}
	}
	var k packed
	k.b.Grow(size)
	m := &Message{Destination: k.add(p.Destination), Body: append([]byte(nil), p.Body...)}
	m.ID = k.add(id)
	if len(number) > 0 {
		at := k.b.Len() - len(id)
		k.b.Write(number)
		m.ID = k.b.String()[at:]
	}
	if n > 0 {
		m.Headers = make([]frames.Header, 0, n)
		for i := range p.Headers {
			if h := &p.Headers[i]; !Reserved(h.Name) {
				m.Headers = append(m.Headers, frames.Header{Name: k.add(h.Name), Value: k.add(h.Value)})
			}
		}
	}
	return m
}

// messageSize returns the memory that a stored message occupies, in bytes.
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
