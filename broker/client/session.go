package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// session is the byte stream that go-stomp uses, after the handshake. It drops
// go-stomp's first frame, its CONNECT, and starts the input with a CONNECTED
// made for go-stomp.
type session struct {
	transport transport
	replay    bytes.Reader  // the CONNECTED for go-stomp
	in        *bufio.Reader // reads through watch
	watch     *watch        // nil if the server sends no heart-beats
	scan      inbound
	failed    atomic.Pointer[ErrorFrame] // the ERROR received

	mu      sync.Mutex // guards the fields below and transport.writeFrame
	pending []byte     // a partly written frame of go-stomp
	greeted bool       // go-stomp's CONNECT has been dropped
	beat    *time.Timer
	pause   time.Duration // longest time between two writes, 0 = no heart-beats
	leaving bool          // this side is closing, so the end is not an error
	closed  bool          // no more heart-beats

	receipts map[string]chan struct{} // those expected, by id; closed when one is received

	done chan struct{} // closed when reading has ended
	once sync.Once
	err  error // the reason; read only after done
}

// pendingKept is the maximum capacity of pending between frames, in bytes.
const pendingKept = 64 << 10

func newSession(t transport) *session {
	s := &session{transport: t, done: make(chan struct{})}
	s.scan.receipt = s.received
	s.in = bufio.NewReader(readerFunc(s.readTransport))
	return s
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (s *session) readTransport(p []byte) (int, error) {
	if s.watch != nil {
		return s.watch.read(s.transport, p)
	}
	return s.transport.Read(p)
}

// startHeartBeats starts the negotiated heart-beats. Zero means none.
func (s *session) startHeartBeats(write, read time.Duration) {
	if read > 0 {
		s.watch = newWatch(2*read, s.transport.abort)
	}
	if write > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		// A quarter early, to allow for the way to the server.
		s.pause = write - write/4
		s.beat = time.AfterFunc(s.pause, s.sendBeat)
	}
}

// sendBeat runs when nothing was written for the interval. The reader reports a
// failed write.
func (s *session) sendBeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.transport.writeFrame([]byte{'\n'}) == nil {
		s.beat.Reset(s.pause)
	}
}

// Read implements io.Reader for go-stomp's reading goroutine.
func (s *session) Read(p []byte) (int, error) {
	if s.replay.Len() > 0 {
		return s.replay.Read(p)
	}
	n, err := s.in.Read(p)
	if e := s.scan.feed(p[:n]); e != nil {
		s.failed.CompareAndSwap(nil, e)
	}
	if err != nil {
		s.end(err)
	}
	return n, err
}

// end records why the connection ended. An ERROR, with the close code that
// followed, has precedence. An end that this side asked for is not an error.
func (s *session) end(err error) {
	s.once.Do(func() {
		var closed *CloseError
		errors.As(err, &closed)
		e := s.failed.Load()
		switch {
		case e != nil:
			with := *e // e may be in use elsewhere
			with.Close = closed
			err = &with
		case s.left() && (closed == nil || closed.Code == 1000 || closed.Code == 1005):
			err = nil
		case errors.Is(err, io.EOF):
			err = errEOF
		}
		s.err = err
		close(s.done)
	})
}

var errEOF = errors.New("client: the server closed the connection")

// Write implements io.Writer for go-stomp's writing goroutine, which writes a
// large frame in several pieces. Write sends whole frames only.
func (s *session) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	written := len(p)
	if len(s.pending) > 0 {
		s.pending = append(s.pending, p...)
		p = s.pending
	}
	for len(p) > 0 {
		n := frameEnd(p)
		if n == 0 {
			break
		}
		if err := s.writeFrame(p[:n]); err != nil {
			return 0, err
		}
		p = p[n:]
	}
	s.pending = append(s.pending[:0], p...)
	if len(p) == 0 && cap(s.pending) > pendingKept {
		s.pending = nil
	}
	return written, nil
}

func (s *session) writeFrame(p []byte) error {
	if !s.greeted {
		s.greeted = true
		return nil
	}
	s.leaving = s.leaving || bytes.HasPrefix(p, []byte("DISCONNECT\n"))
	err := s.transport.writeFrame(withReceipt(p))
	if s.beat != nil {
		s.beat.Reset(s.pause)
	}
	return err
}

// Close implements io.Closer for go-stomp, which calls it when the program
// disconnects and after an ERROR.
func (s *session) Close() error {
	s.shut()
	return s.transport.Close()
}

// shut stops the heart-beats.
func (s *session) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.beat != nil {
		s.beat.Stop()
	}
}

// leave marks the end as requested by this side.
func (s *session) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
}

func (s *session) left() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaving
}
