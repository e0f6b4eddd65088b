package wsconn

import (
	"bytes"
	"compress/flate"
	"io"
	"strconv"
	"sync"

	"github.com/gobwas/ws"
)

const (
	// portion is the maximum inflated payload per call of Handler.Data, in
	// bytes.
	portion = 4 << 10
	// keptMessage is the maximum capacity of a buffer that returns to the pool,
	// in bytes.
	keptMessage = 16 << 10
	// flushed is the end of a message that RFC 7692 section 7.2.1 removes,
	// followed by an empty final block, so that the reader ends without an
	// error.
	flushed = "\x00\x00\xff\xff" + "\x01\x00\x00\xff\xff"
)

// gathered collects the payload of a compressed message until its last frame is
// complete. Package flate pulls its input and can only pause in a goroutine of
// its own. So the input, which is small, is collected first and then inflated
// at once, which is fast. A connection between messages has none.
type gathered struct{ b []byte }

var gatheredPool = sync.Pool{New: func() any { return new(gathered) }}

// deflatedSize returns the maximum compressed size of a message of limit bytes.
// Fixed Huffman codes, the worst choice that encoders make, add one eighth.
func deflatedSize(limit int64) int64 {
	if n := limit + limit/8 + 64; n > limit {
		return n
	}
	return limit
}

func errTooBig(limit int64) error {
	return &ProtocolError{
		Code:   int(ws.StatusMessageTooBig),
		Reason: "message exceeds the limit of " + strconv.FormatInt(limit, 10) + " bytes",
	}
}

// deflatedPart collects p, and inflates the message if p is its end.
func (d *decoder) deflatedPart(h Handler, p []byte, limit int64) (end, err error) {
	if d.message == nil {
		d.message = gatheredPool.Get().(*gathered)
	}
	d.message.b = append(d.message.b, p...)
	if d.inFrame || d.more {
		return nil, nil
	}
	m := d.message
	d.message = nil
	end, err = d.inflate(h, m, limit)
	if cap(m.b) <= keptMessage {
		m.b = m.b[:0]
		gatheredPool.Put(m)
	}
	return end, err
}

// inflater inflates one message at a time, for any connection.
type inflater struct {
	in  bytes.Reader
	r   io.Reader // reader of package flate, over in
	out [portion]byte
}

var inflaterPool = sync.Pool{New: func() any {
	i := new(inflater)
	i.r = flate.NewReader(&i.in)
	return i
}}

func (i *inflater) reset() error { return i.r.(flate.Resetter).Reset(&i.in, nil) }

// inflate passes on the content of m, up to the limit. Content beyond it costs
// only the window that package flate reads ahead.
func (d *decoder) inflate(h Handler, m *gathered, limit int64) (end, err error) {
	if len(m.b) == 0 {
		return d.payload(h, nil, true)
	}
	m.b = append(m.b, flushed...)
	i := inflaterPool.Get().(*inflater)
	defer func() {
		i.in.Reset(nil)
		inflaterPool.Put(i)
	}()
	i.in.Reset(m.b)
	left := limit
	for {
		if i.reset() != nil {
			return errDeflate, nil
		}
		for {
			n, read := i.r.Read(i.out[:])
			if read != nil && read != io.EOF {
				// Ignore the n bytes: they may come from the appended bytes,
				// including a NUL.
				return errDeflate, nil
			}
			over := limit > 0 && int64(n) > left
			if over {
				n = int(left)
			}
			left -= int64(n)
			if n > 0 {
				if end, err := d.payload(h, i.out[:n], false); end != nil || err != nil {
					return end, err
				}
			}
			if over {
				return errTooBig(limit), nil
			}
			if read == io.EOF {
				break
			}
		}
		// The peer may have ended with a final block (RFC 7692, section
		// 7.2.3.4), with or without more blocks after it.
		if rest := i.in.Len(); rest == 0 || rest == len(flushed) {
			return d.payload(h, nil, true)
		}
	}
}
