package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/frames"
)

const (
	envelopeVersion = 1
	severalVersion  = 2 // there is more than one message in it
	nodeIDSize      = 12
	// envelopeHead is the size of what precedes the message: version, node,
	// number and origin.
	envelopeHead = 1 + nodeIDSize + 8 + 8
)

var errEnvelope = errors.New("cluster: the envelope of a message is cut short or has bytes left")

// head is what a receiver needs before it takes the message apart.
type head struct {
	node   string
	number uint64 // of the messages that the node has published: 1, 2, 3
	origin uint64
}

// appendHead begins an envelope:
//
//	u8 version | node | u64 number | u64 origin
//
// One or more messages follow. The first has the number of the head, and the
// next ones those that follow it:
//
//	text destination | text id | uvarint n | n × (text name, text value) | text body
//
// A text is a uvarint, its length, and its bytes. An empty destination is that of
// the message before. Headers of NATS would cost a map and a parser of text on
// both sides.
func appendHead(b []byte, version byte, node string, number, origin uint64) []byte {
	b = append(append(b, version), node...)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, number), origin)
}

// appendRest encodes what follows the destination of a message.
func appendRest(b []byte, e *broker.Envelope) []byte {
	b = binary.AppendUvarint(appendText(b, e.ID), uint64(len(e.Headers)))
	for _, h := range e.Headers {
		b = appendText(appendText(b, h.Name), h.Value)
	}
	return append(binary.AppendUvarint(b, uint64(len(e.Body))), e.Body...)
}

// sizeOf is at least what a message takes in an envelope.
func sizeOf(e *broker.Envelope) int {
	const length = binary.MaxVarintLen32
	size := 4*length + len(e.Destination) + len(e.ID) + len(e.Body)
	for _, h := range e.Headers {
		size += 2*length + len(h.Name) + len(h.Value)
	}
	return size
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeHead reads the beginning of an envelope.
func decodeHead(b []byte) (head, error) {
	if len(b) > 0 && b[0] != envelopeVersion && b[0] != severalVersion && b[0] != questionVersion {
		return head{}, fmt.Errorf("cluster: an envelope of version %d; this node reads %d and %d", b[0], envelopeVersion, severalVersion)
	}
	if len(b) < envelopeHead {
		return head{}, errEnvelope
	}
	rest := b[1+nodeIDSize:]
	return head{string(b[1 : 1+nodeIDSize]), binary.BigEndian.Uint64(rest), binary.BigEndian.Uint64(rest[8:])}, nil
}

// decodeEnvelopes reads all messages of an envelope, or none if one cannot be
// read. The bodies share the memory of b.
func decodeEnvelopes(b []byte) ([]broker.Envelope, error) {
	h, err := decodeHead(b)
	if err != nil {
		return nil, err
	}
	r := reader{rest: b[envelopeHead:]}
	var list []broker.Envelope
	var destination string
	for {
		e := r.message(h.origin, destination)
		destination = e.Destination
		if r.failed {
			return nil, errEnvelope
		}
		if list = append(list, e); len(r.rest) == 0 {
			break
		}
	}
	if (len(list) > 1) != (b[0] == severalVersion) {
		return nil, errEnvelope
	}
	return list, nil
}

// message reads a message. before is the destination of the one before it.
func (r *reader) message(origin uint64, before string) broker.Envelope {
	e := broker.Envelope{Origin: origin, Destination: before}
	if d := r.text(); len(d) > 0 {
		e.Destination = string(d)
	}
	e.ID = string(r.text())
	n := r.uvarint()
	if n > uint64(len(r.rest)/2) { // each header has two lengths
		r.failed, r.rest = true, nil
		return e
	}
	if n > 0 {
		e.Headers = make([]frames.Header, 0, n)
	}
	for range n {
		e.Headers = append(e.Headers, frames.Header{Name: string(r.text()), Value: string(r.text())})
	}
	e.Body = r.text()
	return e
}

// messagesIn returns how many messages an envelope has.
func messagesIn(b []byte) (n uint64) {
	if b[0] != severalVersion {
		return 1
	}
	for r := (reader{rest: b[envelopeHead:]}); len(r.rest) > 0; n++ {
		r.text() // destination
		r.text() // id
		for range 2 * r.uvarint() {
			if r.text(); r.failed {
				break
			}
		}
		r.text() // body
	}
	return max(n, 1)
}

// reader takes an envelope apart. After a failure it returns nothing.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) text() []byte {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.failed, r.rest = true, nil
		return nil
	}
	t := r.rest[:n:n]
	r.rest = r.rest[n:]
	return t
}
