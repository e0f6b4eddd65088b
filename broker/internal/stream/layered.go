package stream

import (
	"net"
	"sync"
)

const (
	// smallBuffer is what an idle connection keeps when it cannot wait without
	// a buffer: a heart-beat or a small frame fits.
	smallBuffer = 512
	// largeBuffer holds a burst of some hundred small frames. It is borrowed
	// from a pool for as long as bytes keep coming.
	largeBuffer = 64 << 10
)

type buffer [largeBuffer]byte

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// layered serves connections that have no descriptor of their own to wait on:
// TLS, pipes, and everything on a system that is not Unix.
type layered struct{ net.Conn }

func (l layered) canTry() bool                 { return false }
func (l layered) tryWrite([]byte) (int, error) { return 0, nil }

// receive waits with a small buffer. A read that fills it has left something
// behind, in a TLS record for example, so the next one goes into a large
// buffer, which is given back right after.
func (l layered) receive(data func(p []byte) error) error {
	small := make([]byte, smallBuffer)
	for {
		n, err := l.read(small, data)
		if n == len(small) && err == nil {
			large := buffers.Get().(*buffer)
			_, err = l.read(large[:], data)
			buffers.Put(large)
		}
		if err != nil {
			return err
		}
	}
}

// read hands over what one read brought, and only then speaks of its error.
func (l layered) read(p []byte, data func(p []byte) error) (int, error) {
	n, err := l.Read(p)
	if n > 0 {
		if err := data(p[:n]); err != nil {
			return n, err
		}
	}
	return n, err
}
