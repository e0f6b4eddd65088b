package sockjs

import (
	"io"
	"net/netip"
	"sync"
	"time"
)

// maxFrame is the size in bytes at which an array frame is cut, and so the
// amount encoded at once.
const maxFrame = 64 << 10

// A session is a [broker.Transport] over a series of HTTP requests: at any time
// at most one that receives and one that sends. It buffers nothing: Send blocks
// until a receiver has written its frames, while further ones wait in the
// broker's outbox, which is bounded.
type session struct {
	inbox
	owner   owner
	network netip.Addr    // the network of the client
	kind    *kind         // of the request that opened the session
	origin  string        // Origin of that request
	sender  chan struct{} // one slot: taken while a request sends
	dec     decoder       // used by the request that sends
	delay   time.Duration

	mu          sync.Mutex
	pending     [][]byte      // frames of the current Send that are not written yet
	written     chan struct{} // one slot: signals that nothing is pending
	receiver    chan struct{} // one slot: wakes the receiving request; nil if there is none
	interrupted bool          // a receiving request broke, and its data may be lost
	left        time.Time     // when the last receiver left
	heard       time.Time     // when the last request came
	closed      []byte        // the close frame, once known
	told        bool          // the client has got the close frame, or will not
	waited      chan struct{} // closed when told; nil if Shutdown has not waited for it
	expiry      *time.Timer
}

func newSession(o owner, k *kind, origin string, delay time.Duration) *session {
	return &session{
		inbox: newInbox(), owner: o, kind: k, origin: origin, delay: delay,
		sender: make(chan struct{}, 1), written: make(chan struct{}, 1),
	}
}

// tell records that nobody needs to wait for the client any longer. The caller
// has the lock.
func (s *session) tell() {
	if !s.told && s.waited != nil {
		close(s.waited)
	}
	s.told = true
}

// whenTold returns a channel that is closed when nobody needs to wait for the
// client any longer, or nil if that is so already.
func (s *session) whenTold() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told {
		return nil
	}
	if s.waited == nil {
		s.waited = make(chan struct{})
	}
	return s.waited
}

// forgotten is called when the session is removed.
func (s *session) forgotten() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell()
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

// Close implements [broker.Transport]. The client learns the reason from its
// receiving request, or from its next one.
func (s *session) Close(code int, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended() {
		return nil
	}
	if code != 1006 { // for 1006, Serve's error gives the reason
		s.closed = closeFrame(code, reason)
	}
	s.end()
	s.wake()
	return nil
}

// gone stores the close frame after Serve has returned.
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

// wake makes the receiver check for work. The caller has the lock.
func (s *session) wake() {
	if s.receiver != nil {
		select {
		case s.receiver <- struct{}{}:
		default: // already signalled
		}
	}
}

// attach makes a request the receiver. If it cannot, refusal is the frame to
// answer with.
func (s *session) attach() (woken <-chan struct{}, refusal []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed != nil:
		s.tell()
		return nil, s.closed
	case s.receiver != nil:
		return nil, closeFrame(2010, "Another connection still open")
	case s.interrupted:
		s.end() // the missed frames cannot be sent again
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

// detach ends the receiver. The session then lives for delay, until the next
// receiver comes. If the request broke, the session accepts no further
// receiver.
func (s *session) detach(broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.receiver = nil
	s.left = time.Now()
	if broken {
		s.interrupted = true
		s.tell()
		if s.pending != nil {
			s.end() // no receiver will come for Send
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

// expire ends a session that has had no receiver for delay.
func (s *session) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receiver == nil && time.Since(s.left) >= s.delay {
		s.end()
		s.tell()
	}
}

// take returns the next frame for the receiver, in buf: an array of pending
// messages, or at the end of the session the close frame, with last set. Nil
// means that there is nothing to write, and with last, that nothing will
// follow.
func (s *session) take(buf []byte, room int) (frame []byte, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended() {
		if s.closed != nil {
			s.tell()
		}
		return s.closed, true
	}
	frame = buf[:0]
	if len(s.pending) > 0 {
		var n int
		var valid bool
		frame, n, valid = appendMessages(frame, s.pending, min(room, maxFrame))
		s.pending = s.pending[n:] // non-nil until it is written
		if !valid {
			s.fail(errNotText)
		}
		if len(frame) == 0 {
			s.settle()
		}
	}
	return frame, false
}

// wrote is called after the frame from take was written.
func (s *session) wrote() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
}

// settle lets Send return when all its frames are written. The caller has the
// lock.
func (s *session) settle() {
	if s.pending != nil && len(s.pending) == 0 {
		s.pending = nil
		s.written <- struct{}{} // the slot is empty, because Send is waiting for it
	}
}

// sent records that a request has sent data.
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
