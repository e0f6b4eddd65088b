package checker

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
)

// ID identifies a SEND of a run: by the number of its session and its number
// there.
type ID uint64

func newID(session, seq int) ID { return ID(session)<<32 | ID(seq) }

func (id ID) session() int { return int(id >> 32) }
func (id ID) seq() int     { return int(id & 0xffffffff) }

// Publisher returns the number of the session, from 0. SENDs of one session
// have an order.
func (id ID) Publisher() int { return id.session() }

// String returns the two numbers, such as 3/17.
func (id ID) String() string {
	return strconv.Itoa(id.session()) + "/" + strconv.Itoa(id.seq())
}

const digits = 16 // length of an ID in a body

// Body returns the body for the SEND with this ID: the ID, then letters derived
// from it. Its length is size, at least 16 bytes.
func Body(id ID, size int) []byte {
	b := make([]byte, max(size, digits))
	var raw [digits / 2]byte
	for i := range raw {
		raw[i] = byte(id >> (56 - 8*i))
	}
	hex.Encode(b, raw[:])
	for i := digits; i < len(b); i++ {
		b[i] = filler(id, i)
	}
	return b
}

func filler(id ID, i int) byte { return 'a' + byte((uint64(id)+uint64(i))%26) }

// ParseBody returns the ID in a body from [Body]. It fails if the body was
// changed, but cannot detect letters missing at the end.
func ParseBody(b []byte) (ID, error) {
	var raw [digits / 2]byte
	if len(b) < digits {
		return 0, fmt.Errorf("a body of %d bytes has no id", len(b))
	}
	if _, err := hex.Decode(raw[:], b[:digits]); err != nil || !bytes.Equal(bytes.ToLower(b[:digits]), b[:digits]) {
		return 0, fmt.Errorf("%q is no id", b[:digits])
	}
	var id ID
	for _, v := range raw {
		id = id<<8 | ID(v)
	}
	for i := digits; i < len(b); i++ {
		if b[i] != filler(id, i) {
			return id, fmt.Errorf("byte %d of the body of %v is %q", i, id, b[i])
		}
	}
	return id, nil
}
