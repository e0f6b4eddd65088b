package broker

import (
	"errors"
	"os"
	"sync"
	"time"
)

// A mailbox holds work for the reader of a session, the only goroutine that may
// access its subscriptions and its state. A session has no mailbox until it is
// needed.
type mailbox struct {
	mu   sync.Mutex
	work []func(*batch)
	bell chan struct{} // signals new work while the reader waits for something else
}

// mailbox returns the mailbox of the session and creates it if needed.
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

// listen returns a channel that receives a value when there is new work, until
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

// do runs f in the reader of the session, after the input that is being
// handled. It wakes a reader that waits for its client. Over an external
// [Transport], whose reader cannot be woken, f runs when the client next sends
// something. f does not run if the session ends first. Any goroutine may call
// do.
func (s *session) do(f func(bt *batch)) {
	m := s.mailbox()
	m.mu.Lock()
	m.work = append(m.work, f)
	select {
	case m.bell <- struct{}{}:
	default:
	}
	m.mu.Unlock()
	s.wire.ReadUntil(time.Unix(1, 0))
}

// readMail runs the functions in the mailbox. Only the reader calls it.
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

// woken reports whether receive returned because [session.do] woke it, and then
// handles the mail. It removes the deadline first, so that later work sets a
// new one.
func (s *session) woken(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || s.mail.Load() == nil || phase(s.phase.Load()) == phaseEnding {
		return false
	}
	s.wire.ReadUntil(time.Time{})
	if phase(s.phase.Load()) == phaseEnding { // this may have been the deadline set by finish
		s.wire.ReadUntil(time.Now().Add(s.b.o.LingerTimeout))
	}
	s.readMail()
	s.batchEnd()
	return true
}
