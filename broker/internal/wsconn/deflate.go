package wsconn

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"sync"

	"github.com/gobwas/ws"
)

const (
	compressed = 0x40 // RSV1 of the first header byte: the message is compressed

	// level is BestSpeed. Measured with JSON of 1 to 4 KiB, it takes half the
	// time of level 2 for 5 % more bytes, and a fifth of the time of level 6
	// for 12 % more. Also, its writer need not clear half a megabyte to begin a
	// message.
	level = flate.BestSpeed

	// keptDeflated is the maximum capacity of a buffer that returns to the
	// pool, in bytes.
	keptDeflated = 64 << 10

	// MaxStored is how many uncompressed bytes AppendDeflatedHeader accepts: as
	// many as fit into one block of RFC 1951, section 3.2.4.
	MaxStored = 1<<16 - 1

	storedHeader = 5
)

type deflater struct {
	out bytes.Buffer
	w   *flate.Writer
}

var deflaterPool = sync.Pool{New: func() any {
	d := new(deflater)
	d.w, _ = flate.NewWriter(&d.out, level) // fails only for an invalid level
	return d
}}

// Deflate compresses a message or the end of one, by RFC 7692 section 7.2.1.
// The result starts and ends on a byte boundary and refers to nothing before
// it, so it can follow any AppendDeflatedHeader. Deflate returns nil if
// compression would save nothing.
func Deflate(p []byte) []byte {
	d := deflaterPool.Get().(*deflater)
	d.out.Reset()
	d.w.Reset(&d.out)
	_, _ = d.w.Write(p) // a Buffer accepts everything
	_ = d.w.Flush()
	b := d.out.Bytes()
	b = b[:len(b)-4] // drop 00 00 ff ff, which the receiver adds
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
// for a connection that negotiated compression; see [Conn.Deflate]. After it
// append stored bytes of plain payload, at most MaxStored, and then the result
// of Deflate, which has deflated bytes. The plain part is specific to each
// receiver; the deflated part is common to all and compressed once. A text must
// be valid UTF-8.
func AppendDeflatedHeader(dst []byte, isBinary bool, stored, deflated int) []byte {
	op := ws.OpText
	if isBinary {
		op = ws.OpBinary
	}
	first := len(dst)
	dst = appendHeader(dst, op, storedHeader+stored+deflated)
	dst[first] |= compressed
	dst = append(dst, 0) // block header: not final, stored
	dst = binary.LittleEndian.AppendUint16(dst, uint16(stored))
	return binary.LittleEndian.AppendUint16(dst, ^uint16(stored))
}

// DeflatedHeaderSize returns the number of bytes that AppendDeflatedHeader
// appends: 7, 9 or 15.
func DeflatedHeaderSize(stored, deflated int) int {
	return HeaderSize(storedHeader+stored+deflated) + storedHeader
}
