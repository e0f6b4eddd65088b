package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// payloadVersion is the first byte of a stored message. A reader that finds
// another one refuses the message and leaves it where it is.
const payloadVersion = 1

// Flags of a stored message, its second byte.
const (
	payloadExpires     = 1 << iota // it has an expiry
	payloadDestination             // its destination is not the name of the queue
	payloadFlags       = 1<<iota - 1
)

var errPayload = errors.New("the stored message is damaged")

// payloadVersionError is the error for a message of another version.
type payloadVersionError struct{ version byte }

func (e *payloadVersionError) Error() string {
	return fmt.Sprintf("the stored message has the format %d; this version of the program reads only %d", e.version, payloadVersion)
}

// payloadHead is what the ledger needs of a stored message: the beginning, so
// that the rest need not be read.
type payloadHead struct {
	queue, share string
	size         int
	expires      int64 // Unix milliseconds, 0 for never
}

// appendPayload appends the stored form of a message:
//
//	version, flags, uvarint size, [varint expires], share, queue,
//	[destination], message-id, uvarint number of headers, their names and values,
//	body
//
// Each text is an uvarint length and its bytes. The body takes what is left.
func appendPayload(b []byte, p *broker.QueuePut) []byte {
	m := p.Message
	flags := byte(0)
	if !p.Expires.IsZero() {
		flags |= payloadExpires
	}
	if m.Destination != p.Queue {
		flags |= payloadDestination
	}
	b = append(b, payloadVersion, flags)
	b = binary.AppendUvarint(b, uint64(max(p.Size, 0)))
	if flags&payloadExpires != 0 {
		b = binary.AppendVarint(b, p.Expires.UnixMilli())
	}
	b = appendText(b, p.Share)
	b = appendText(b, p.Queue)
	if flags&payloadDestination != 0 {
		b = appendText(b, m.Destination)
	}
	b = appendText(b, m.ID)
	b = binary.AppendUvarint(b, uint64(len(m.Headers)))
	for i := range m.Headers {
		b = appendText(b, m.Headers[i].Name)
		b = appendText(b, m.Headers[i].Value)
	}
	return append(b, m.Body...)
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// payloadSize is an upper bound of the length of the stored form.
func payloadSize(p *broker.QueuePut) int {
	m := p.Message
	n := 2 + 3*binary.MaxVarintLen64 + 4*binary.MaxVarintLen32 + len(p.Share) + len(p.Queue) + len(m.Destination) + len(m.ID) + len(m.Body)
	for i := range m.Headers {
		n += 2*binary.MaxVarintLen32 + len(m.Headers[i].Name) + len(m.Headers[i].Value)
	}
	return n
}

// payloadReader reads a stored message from its front. After the first error
// all results are zero.
type payloadReader struct {
	rest []byte
	err  error
}

func (r *payloadReader) fail(err error) {
	if r.err == nil {
		r.rest, r.err = nil, err
	}
}

func (r *payloadReader) byte() byte {
	if len(r.rest) == 0 {
		r.fail(errPayload)
		return 0
	}
	c := r.rest[0]
	r.rest = r.rest[1:]
	return c
}

func (r *payloadReader) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > limit {
		r.fail(errPayload)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *payloadReader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail(errPayload)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *payloadReader) text() string {
	n := r.uvarint(uint64(len(r.rest)))
	if n > uint64(len(r.rest)) { // the number was within, but the rest is shorter by its own length
		r.fail(errPayload)
	}
	if r.err != nil {
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

// maxPayloadSize is the largest size of a message that the ledger counts.
const maxPayloadSize = 1<<32 - 1

func (r *payloadReader) head() (h payloadHead, flags byte) {
	if v := r.byte(); r.err == nil && v != payloadVersion {
		r.fail(&payloadVersionError{v})
	}
	if flags = r.byte(); flags&^payloadFlags != 0 {
		r.fail(errPayload)
	}
	h.size = int(r.uvarint(maxPayloadSize)) //nolint:gosec // bounded
	if flags&payloadExpires != 0 {
		h.expires = r.varint()
	}
	h.share = r.text()
	h.queue = r.text()
	return h, flags
}

// parsePayloadHead returns the head of a stored message.
func parsePayloadHead(data []byte) (payloadHead, error) {
	r := payloadReader{rest: data}
	h, _ := r.head()
	return h, r.err
}

// parsePayload returns a stored message. Its body shares the memory of data.
func parsePayload(data []byte) (broker.QueuePut, error) {
	r := payloadReader{rest: data}
	h, flags := r.head()
	m := &broker.Message{Destination: h.queue}
	if flags&payloadDestination != 0 {
		m.Destination = r.text()
	}
	m.ID = r.text()
	if n := r.uvarint(uint64(len(r.rest)) / 2); n > 0 {
		m.Headers = make([]broker.Header, n)
	}
	for i := range m.Headers {
		m.Headers[i] = broker.Header{Name: r.text(), Value: r.text()}
	}
	if r.err != nil {
		return broker.QueuePut{}, r.err
	}
	if len(r.rest) > 0 {
		m.Body = r.rest
	}
	return broker.QueuePut{Queue: h.queue, Message: m, Size: h.size, Expires: h.expiry(), Share: h.share}, nil
}

func (h *payloadHead) expiry() time.Time {
	if h.expires == 0 {
		return time.Time{}
	}
	return time.UnixMilli(h.expires)
}
