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

// appendEnvelope encodes a message:
//
//	u8 version | node | u64 number | u64 origin | text destination | text id |
//	uvarint n | n × (text name, text value) | text body
//
// A text is a uvarint, its length, and its bytes. Headers of NATS would cost a
// map and a parser of text on both sides.
func appendEnvelope(b []byte, node string, number uint64, e *broker.Envelope) []byte {
	b = append(append(b, envelopeVersion), node...)
	b = binary.BigEndian.AppendUint64(b, number)
	b = binary.BigEndian.AppendUint64(b, e.Origin)
	b = appendText(appendText(b, e.Destination), e.ID)
	b = binary.AppendUvarint(b, uint64(len(e.Headers)))
	for _, h := range e.Headers {
		b = appendText(appendText(b, h.Name), h.Value)
	}
	return append(binary.AppendUvarint(b, uint64(len(e.Body))), e.Body...)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeHead reads the beginning of an envelope.
func decodeHead(b []byte) (head, error) {
	if len(b) > 0 && b[0] != envelopeVersion && b[0] != questionVersion {
		return head{}, fmt.Errorf("cluster: an envelope of version %d; this node reads %d", b[0], envelopeVersion)
	}
	if len(b) < envelopeHead {
		return head{}, errEnvelope
	}
	rest := b[1+nodeIDSize:]
	return head{string(b[1 : 1+nodeIDSize]), binary.BigEndian.Uint64(rest), binary.BigEndian.Uint64(rest[8:])}, nil
}

// decodeEnvelope reads an envelope. The body shares the memory of b.
func decodeEnvelope(b []byte) (*broker.Envelope, error) {
	h, err := decodeHead(b)
	if err != nil {
		return nil, err
	}
	r := reader{rest: b[envelopeHead:]}
	e := &broker.Envelope{Origin: h.origin, Destination: string(r.text()), ID: string(r.text())}
	n := r.uvarint()
	if n > uint64(len(r.rest)/2) { // each header has two lengths
		return nil, errEnvelope
	}
	if n > 0 {
		e.Headers = make([]frames.Header, 0, n)
	}
	for range n {
		e.Headers = append(e.Headers, frames.Header{Name: string(r.text()), Value: string(r.text())})
	}
	e.Body = r.text()
	if r.failed || len(r.rest) > 0 {
		return nil, errEnvelope
	}
	return e, nil
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
