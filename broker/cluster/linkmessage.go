package cluster

import (
	"encoding/binary"
	"fmt"
)

// note is what a node says to the others, beside messages.
type note struct {
	kind   byte
	node   string
	number uint64 // of a beat: 1, 2, 3; of a question: what the answer repeats
}

const (
	noteHello    = iota + 1 // to all: a node has come, tell it who you are
	noteBeat                // to all: a node is there
	noteBye                 // to all: a node goes
	noteQuestion            // to one: a barrier
	noteAnswer              // to one: the answer to a barrier
)

const noteSize = 1 + 1 + nodeIDSize + 8

func (n note) encode() []byte {
	b := append(make([]byte, 0, noteSize), envelopeVersion, n.kind)
	return binary.BigEndian.AppendUint64(append(b, n.node...), n.number)
}

func decodeNote(b []byte) (note, error) {
	if len(b) != noteSize || b[0] != envelopeVersion {
		return note{}, fmt.Errorf("cluster: a note of %d bytes that this version cannot read", len(b))
	}
	return note{b[1], string(b[2 : 2+nodeIDSize]), binary.BigEndian.Uint64(b[2+nodeIDSize:])}, nil
}

// longestName bounds the name of a node.
const longestName = 255

// traits are what a node says of itself when it comes and in its heart-beats.
type traits struct {
	protocol int
	name     string
}

// append adds the traits to a note:
//
//	uvarint protocol | text name
//
// A later protocol may add more behind it, which is ignored.
func (t traits) append(b []byte) []byte {
	return appendText(binary.AppendUvarint(b, uint64(t.protocol)), t.name) //nolint:gosec // it is small
}

// decodeBeat is decodeNote for notes that may have traits behind them.
func decodeBeat(b []byte) (note, traits, error) {
	if len(b) <= noteSize || b[1] != noteBeat && b[1] != noteHello {
		n, err := decodeNote(b)
		return n, traits{}, err
	}
	n, err := decodeNote(b[:noteSize])
	if err != nil {
		return note{}, traits{}, err
	}
	r := reader{rest: b[noteSize:]}
	t := traits{int(min(r.uvarint(), 1<<16)), string(r.text())} //nolint:gosec // it is bounded
	if r.failed || len(t.name) > longestName {
		return note{}, traits{}, fmt.Errorf("cluster: a heart-beat of %d bytes that this version cannot read", len(b))
	}
	return n, t, nil
}
