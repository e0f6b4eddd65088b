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
	// portion is how much inflated payload the Handler gets at a time.
	portion = 4 << 10
	// keptMessage is how large a gathered message may be for its buffer to be
	// used again.
	keptMessage = 16 << 10
	// flushed is what RFC 7692 section 7.2.1 takes from the end of a message, and
	// behind it an empty final block, with which the reader ends in peace.
	flushed = "\x00\x00\xff\xff" + "\x01\x00\x00\xff\xff"
)

// gathered is the payload of a compressed message until its last frame is
// complete. Package flate wants to pull its input and cannot stop in the middle
// of it, other than in a goroutine of its own; so what is pushed is gathered,
// which is little, and inflated when all of it is there, which is quick. A
// connection that is between messages has none.
type gathered struct{ b []byte }

var gatheredPool = sync.Pool{New: func() any { return new(gathered) }}

// deflatedSize is how large a compressed message may be whose content may have
// limit bytes: an eighth more is what the worst that encoders do with it, fixed
// Huffman codes, makes of it.
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

// deflatedPart gathers p, and inflates the message when p was the end of it.
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

// inflater reads one message after another, of any connections.
type inflater struct {
	in  bytes.Reader
	r   io.Reader // of package flate, over in
	out [portion]byte
}

var inflaterPool = sync.Pool{New: func() any {
	i := new(inflater)
	i.r = flate.NewReader(&i.in)
	return i
}}

func (i *inflater) reset() error { return i.r.(flate.Resetter).Reset(&i.in, nil) }

// inflate hands out what m holds, and stops where it exceeds the limit: what
// lies behind costs nothing but the window that package flate reads ahead.
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
				// What n bytes may come with it can be made of those that were
				// appended, a NUL among them.
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
		// The peer may have ended a block as the final one (RFC 7692, section
		// 7.2.3.4), and gone on behind it or not.
		if rest := i.in.Len(); rest == 0 || rest == len(flushed) {
			return d.payload(h, nil, true)
		}
	}
}
