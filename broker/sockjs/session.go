package sockjs

import (
	"io"
	"net/netip"
	"sync"
	"time"
)

// maxFrame is where an array frame is cut: what is encoded at a time.
const maxFrame = 64 << 10

// A session is a [broker.Transport] over any number of HTTP requests: at most one
// at a time that receives, and one that sends. Nothing is buffered. Send waits
// until a receiver has written its frames, and the broker's outbox, which is
// bounded, behind it.
type session struct {
	inbox
	owner   owner
	network netip.Addr    // it comes from
	kind    *kind         // of the request that opened it
	origin  string        // and its Origin
	sender  chan struct{} // one slot: taken while a request sends
	dec     decoder       // of the request that sends
	delay   time.Duration

	mu          sync.Mutex
	pending     [][]byte      // of the Send under way, those not written yet
	written     chan struct{} // one slot: nothing is pending any more
	receiver    chan struct{} // one slot, wakes the receiving request; nil if there is none
	interrupted bool          // a receiving request broke, and what it carried may be lost
	left        time.Time     // when the last receiver left
	heard       time.Time     // the last request
	closed      []byte        // the close frame, when it is known
	expiry      *time.Timer
}

func newSession(o owner, k *kind, origin string, delay time.Duration) *session {
	return &session{
		inbox: newInbox(), owner: o, kind: k, origin: origin, delay: delay,
		sender: make(chan struct{}, 1), written: make(chan struct{}, 1),
	}
}

// Kind implements an optional method of [broker.Transport].
func (s *session) Kind() string { return "sockjs-" + s.kind.name }

// TextOnly implements an optional method of [broker.Transport].
func (s *session) TextOnly() bool { return true }

// Send implements [broker.Transport].
func (s *session) Send(frames [][]byte) error {
	s.mu.Lock()
	if s.interrupted || s.ended() {
		s.mu.Unlock()
		return io.ErrClosedPipe
	}
	s.pending = frames
	s.wake()
	s.mu.Unlock()
	select {
	case <-s.written:
		return nil
	case <-s.done:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pending = nil
		return io.ErrClosedPipe
	}
}

// Close implements [broker.Transport]. The client learns why from the receiver,
// or from its next request.
func (s *session) Close(code int, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended() {
		return nil
	}
	if code != 1006 { // else Serve will say why
		s.closed = closeFrame(code, reason)
	}
	s.end()
	s.wake()
	return nil
}

// gone notes the close frame of a session that Serve has left.
func (s *session) gone(frame []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
	if s.closed == nil {
		s.closed = frame
	}
	s.wake()
	if s.expiry != nil {
		s.expiry.Stop()
	}
}

// wake tells the receiver to look. The caller has the lock.
func (s *session) wake() {
	if s.receiver != nil {
		select {
		case s.receiver <- struct{}{}:
		default: // it was told already
		}
	}
}

// attach makes a request the receiver. When it cannot be, refusal is the frame to
// answer it with.
func (s *session) attach() (woken <-chan struct{}, refusal []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed != nil:
		return nil, s.closed
	case s.receiver != nil:
		return nil, closeFrame(2010, "Another connection still open")
	case s.interrupted:
		s.end() // what it has missed will not come again
		return nil, closeFrame(1006, "")
	}
	s.receiver = make(chan struct{}, 1)
	if s.pending != nil || s.ended() {
		s.wake()
	}
	s.heard = time.Now()
	s.alive()
	return s.receiver, nil
}

// detach ends the receiver, after which the session has delay to live until the
// next. A request that broke is the last.
func (s *session) detach(broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.receiver = nil
	s.left = time.Now()
	if broken {
		s.interrupted = true
		if s.pending != nil {
			s.end() // Send must not wait for nobody
		}
	}
	if s.ended() {
		return
	}
	if s.expiry == nil {
		s.expiry = time.AfterFunc(s.delay, s.expire)
	} else {
		s.expiry.Reset(s.delay)
	}
}

// expire ends a session that no request has received from for too long.
func (s *session) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receiver == nil && time.Since(s.left) >= s.delay {
		s.end()
	}
}

// take returns the next frame for the receiver, in buf: an array of what is
// pending, or the close frame at the end, which last tells. Nil says that there
// is nothing, and with last that there will be nothing more.
func (s *session) take(buf []byte, room int) (frame []byte, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended() {
		return s.closed, true
	}
	frame = buf[:0]
	if len(s.pending) > 0 {
		var n int
		var valid bool
		frame, n, valid = appendMessages(frame, s.pending, min(room, maxFrame))
		s.pending = s.pending[n:] // not nil before it is written
		if !valid {
			s.fail(errNotText)
		}
		if len(frame) == 0 {
			s.settle()
		}
	}
	return frame, false
}

// wrote follows the writing of what take returned.
func (s *session) wrote() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
}

// settle lets Send return when its frames are written. The caller has the lock.
func (s *session) settle() {
	if s.pending != nil && len(s.pending) == 0 {
		s.pending = nil
		s.written <- struct{}{} // empty, because Send is waiting for it
	}
}

// sent notes a request that has sent something.
func (s *session) sent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = time.Now()
}

func (s *session) lastHeard() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard
}
