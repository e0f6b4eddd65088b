package broker

import (
	"errors"
	"os"
	"sync"
	"time"
)

// A mailbox holds work for the reader of a session, the only goroutine that may
// touch its subscriptions and its state. A session without any has none.
type mailbox struct {
	mu   sync.Mutex
	work []func(*batch)
	bell chan struct{} // rung for new work while the reader waits for something else
}

// mailbox returns the mailbox of the session, which is made if need be.
func (s *session) mailbox() *mailbox {
	m := s.mail.Load()
	if m == nil {
		m = new(mailbox)
		if !s.mail.CompareAndSwap(nil, m) {
			m = s.mail.Load()
		}
	}
	return m
}

// listen returns a channel that gets something when there is new work, until
// ignore is called.
func (m *mailbox) listen() <-chan struct{} {
	bell := make(chan struct{}, 1)
	m.mu.Lock()
	m.bell = bell
	m.mu.Unlock()
	return bell
}

func (m *mailbox) ignore() {
	m.mu.Lock()
	m.bell = nil
	m.mu.Unlock()
}

// do runs f in the reader of the session, after what is being handled now. A
// reader that waits for its client is woken; over a [Transport] from outside,
// which cannot be woken, f runs when the client is heard next. f does not run if
// the session ends first. Anybody may call do.
func (s *session) do(f func(bt *batch)) {
	m := s.mailbox()
	m.mu.Lock()
	m.work = append(m.work, f)
	select {
	case m.bell <- struct{}{}:
	default:
	}
	m.mu.Unlock()
	s.wire.readUntil(time.Unix(1, 0))
}

// readMail runs what waits in the mailbox. It is called by the reader.
func (s *session) readMail() {
	m := s.mail.Load()
	if m == nil {
		return
	}
	m.mu.Lock()
	work := m.work
	m.work = nil
	m.mu.Unlock()
	for _, f := range work {
		if phase(s.phase.Load()) == phaseEnding {
			return
		}
		f(s.work())
	}
}

// woken reports whether receive returned because [session.do] has woken it, and
// handles the mail then. The deadline goes first, so that work that comes later
// sets a new one.
func (s *session) woken(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || s.mail.Load() == nil || phase(s.phase.Load()) == phaseEnding {
		return false
	}
	s.wire.readUntil(time.Time{})
	if phase(s.phase.Load()) == phaseEnding { // this may have been the deadline of finish
		s.wire.readUntil(time.Now().Add(s.b.o.LingerTimeout))
	}
	s.readMail()
	s.batchEnd()
	return true
}
