package stream

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// smallBuffer is the size of the read buffer of an idle connection that
	// cannot wait without one. A heart-beat or a small frame fits.
	smallBuffer = 512
	// largeBuffer holds a burst of some hundred small frames. It is taken from
	// a pool only while bytes keep arriving.
	largeBuffer = 64 << 10
)

type buffer [largeBuffer]byte

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// layered is the transport for connections without a usable descriptor of their
// own: TLS, pipes, and everything on systems other than Unix.
type layered struct {
	net.Conn

	mu       sync.Mutex
	deadline time.Time // set by the caller
	peeking  bool      // the deadline of peek is set instead
}

func newLayered(nc net.Conn) *layered { return &layered{Conn: nc} }

func (l *layered) canTry() bool                 { return false }
func (l *layered) tryWrite([]byte) (int, error) { return 0, nil }

// receive waits with a small buffer, so that an idle connection never holds a
// large one. If a read fills the small buffer, more bytes may be available, for
// example in a TLS record. receive then reads once with a large buffer, which
// it returns right after, even if nothing was there.
func (l *layered) receive(data func(p []byte) error) error {
	small := make([]byte, smallBuffer)
	for {
		n, err := l.read(small, data)
		if n == len(small) && err == nil {
			err = l.peek(data)
		}
		if err != nil {
			return err
		}
	}
}

// patience is how long peek waits for bytes that may not be there.
const patience = time.Millisecond

// peek reads the bytes that have already arrived, with a large buffer.
func (l *layered) peek(data func(p []byte) error) error {
	l.mu.Lock()
	until := time.Now().Add(patience)
	if !l.deadline.IsZero() && l.deadline.Before(until) {
		until = l.deadline
	}
	l.peeking = l.SetReadDeadline(until) == nil
	peeking := l.peeking
	l.mu.Unlock()
	if !peeking {
		return nil // no deadlines here: go on waiting with the small buffer
	}
	large := buffers.Get().(*buffer)
	n, err := l.Read(large[:])
	l.mu.Lock()
	l.peeking = false
	late := !l.deadline.IsZero() && !time.Now().Before(l.deadline)
	_ = l.SetReadDeadline(l.deadline) // if this fails, so does the next read
	l.mu.Unlock()
	if n > 0 {
		if err := data(large[:n]); err != nil {
			buffers.Put(large)
			return err
		}
	}
	buffers.Put(large)
	if errors.Is(err, os.ErrDeadlineExceeded) && !late {
		return nil // no bytes were there
	}
	return err
}

// setReadDeadline sets the deadline of the package's caller.
func (l *layered) setReadDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = t
	if l.peeking {
		return nil // peek returns soon and then sets it
	}
	return l.SetReadDeadline(t)
}

// read passes on the bytes of one read before it returns that read's error.
func (l *layered) read(p []byte, data func(p []byte) error) (int, error) {
	n, err := l.Read(p)
	if n > 0 {
		if err := data(p[:n]); err != nil {
			return n, err
		}
	}
	return n, err
}
