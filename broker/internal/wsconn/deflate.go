package wsconn

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"sync"

	"github.com/gobwas/ws"
)

const (
	compressed = 0x40 // first header byte, RSV1: the message is compressed

	// level is BestSpeed: half the time of level 2 for 5 % more bytes, a
	// fifth of the time of level 6 for 12 % more, measured with JSON of 1 to 4 KiB;
	// and to begin a message its writer need not clear half a megabyte.
	level = flate.BestSpeed

	// keptDeflated is how large a compressed message may be for its buffer to be
	// used again.
	keptDeflated = 64 << 10

	// MaxStored is how many bytes AppendDeflatedHeader takes uncompressed: what
	// fits into one block of RFC 1951, section 3.2.4.
	MaxStored = 1<<16 - 1

	storedHeader = 5
)

type deflater struct {
	out bytes.Buffer
	w   *flate.Writer
}

var deflaterPool = sync.Pool{New: func() any {
	d := new(deflater)
	d.w, _ = flate.NewWriter(&d.out, level) // fails for a level that there is not
	return d
}}

// Deflate compresses what is to be the end of a message, or a whole one, by RFC
// 7692 section 7.2.1. It begins and ends at a byte and refers to nothing before
// it, so that it can stand behind any AppendDeflatedHeader. It returns nil when
// that would save nothing.
func Deflate(p []byte) []byte {
	d := deflaterPool.Get().(*deflater)
	d.out.Reset()
	d.w.Reset(&d.out)
	_, _ = d.w.Write(p) // the buffer takes everything
	_ = d.w.Flush()
	b := d.out.Bytes()
	b = b[:len(b)-4] // 00 00 ff ff, as the receiver knows
	if storedHeader+len(b) < len(p) {
		b = bytes.Clone(b)
	} else {
		b = nil
	}
	if d.out.Cap() <= keptDeflated {
		deflaterPool.Put(d)
	}
	return b
}

// AppendDeflatedHeader appends the header of a compressed message in one frame,
// for a connection that negotiated it; see [Conn.Deflate]. Behind it must follow
// so many stored bytes as they are, MaxStored at most, and the result of Deflate,
// of so many bytes. The stored ones are what each receiver has of its own, the
// deflated ones what all have in common: they need to be compressed once. A text
// must be valid UTF-8.
func AppendDeflatedHeader(dst []byte, isBinary bool, stored, deflated int) []byte {
	op := ws.OpText
	if isBinary {
		op = ws.OpBinary
	}
	first := len(dst)
	dst = appendHeader(dst, op, storedHeader+stored+deflated)
	dst[first] |= compressed
	dst = append(dst, 0) // not the final block, stored
	dst = binary.LittleEndian.AppendUint16(dst, uint16(stored))
	return binary.LittleEndian.AppendUint16(dst, ^uint16(stored))
}

// DeflatedHeaderSize is the length of what AppendDeflatedHeader appends: 7, 9 or 15.
func DeflatedHeaderSize(stored, deflated int) int {
	return HeaderSize(storedHeader+stored+deflated) + storedHeader
}
