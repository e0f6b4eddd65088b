package stream

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
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
type layered struct {
	net.Conn

	mu       sync.Mutex
	deadline time.Time // of the caller
	peeking  bool      // the connection has the deadline of peek instead
}

func newLayered(nc net.Conn) *layered { return &layered{Conn: nc} }

func (l *layered) canTry() bool                 { return false }
func (l *layered) tryWrite([]byte) (int, error) { return 0, nil }

// receive waits with a small buffer only, so that whatever a peer has sent, an
// idle connection holds no large one. A read that fills the small buffer may have
// left something behind, in a TLS record for example: that goes into a large
// buffer, which is given back right after, also if there was nothing.
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

// peek reads what has come already, with a large buffer.
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
		return nil // it cannot be waited for a while, so it is waited with the small buffer
	}
	large := buffers.Get().(*buffer)
	n, err := l.Read(large[:])
	l.mu.Lock()
	l.peeking = false
	late := !l.deadline.IsZero() && !time.Now().Before(l.deadline)
	_ = l.SetReadDeadline(l.deadline) // if it fails, so does the next read
	l.mu.Unlock()
	if n > 0 {
		if err := data(large[:n]); err != nil {
			buffers.Put(large)
			return err
		}
	}
	buffers.Put(large)
	if errors.Is(err, os.ErrDeadlineExceeded) && !late {
		return nil // nothing was there
	}
	return err
}

// setReadDeadline is SetReadDeadline for the caller of the package.
func (l *layered) setReadDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = t
	if l.peeking {
		return nil // peek returns in a moment, and sets it
	}
	return l.SetReadDeadline(t)
}

// read hands over what one read brought, and only then speaks of its error.
func (l *layered) read(p []byte, data func(p []byte) error) (int, error) {
	n, err := l.Read(p)
	if n > 0 {
		if err := data(p[:n]); err != nil {
			return n, err
		}
	}
	return n, err
}
