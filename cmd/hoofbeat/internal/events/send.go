package events

import (
	"fmt"
	"time"
)

// maxAnswer is how many bytes of an answer are read, so that its connection can
// be reused.
const maxAnswer = 64 << 10

// work sends events until the Sender is closed.
func (s *Sender) work() {
	defer close(s.done)
	for {
		body, ok := s.next()
		if !ok {
			return
		}
		s.send(body)
	}
}

// next waits for an event. It returns false if the queue is empty and the
// Sender is closing.
func (s *Sender) next() (body []byte, ok bool) {
	for {
		s.mu.Lock()
		if len(s.queue) > 0 {
			body = s.queue[0]
			s.queue[0] = nil
			s.queue = s.queue[1:]
			s.mu.Unlock()
			return body, true
		}
		s.mu.Unlock()
		select {
		case <-s.wake:
		case <-s.closing:
			if s.empty() {
				return nil, false
			}
		}
	}
}

func (s *Sender) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue) == 0
}

// send sends an event until it is accepted or MaxTries or MaxTime is reached.
func (s *Sender) send(body []byte) {
	begun, pause := time.Now(), firstPause
	for try := 1; ; try++ {
		last := s.isClosing()
		err := s.post(body)
		if err == nil {
			s.taken()
			return
		}
		if last {
			s.leave(err)
			return
		}
		if try == MaxTries || time.Since(begun)+pause > MaxTime {
			s.log.Warn("webflow event dropped after the last attempt", "url", s.place, "tries", try, "error", err)
			return
		}
		if !s.failing {
			s.failing = true
			s.log.Warn("webflow events are not accepted; the broker keeps trying", "url", s.place, "error", err)
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-s.closing:
		}
		t.Stop()
		pause = min(2*pause, maxPause)
	}
}

func (s *Sender) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

func (s *Sender) taken() {
	s.mu.Lock()
	dropped := s.dropped
	s.dropped = 0
	s.mu.Unlock()
	if s.failing || dropped > 0 {
		s.failing = false
		s.log.Info("webflow events are accepted again", "url", s.place, "dropped", dropped)
	}
}

// leave drops the waiting events when the process ends.
func (s *Sender) leave(err error) {
	s.mu.Lock()
	left := len(s.queue) + 1
	s.queue = nil
	s.mu.Unlock()
	s.log.Warn("webflow events were not accepted before the shutdown and are lost", "url", s.place, "events", left, "error", err)
}

// post sends an event once. Its errors contain nothing from the URL or the
// answer.
func (s *Sender) post(body []byte) error {
	answer, err := s.client.Post(s.ctx, body, nil)
	if err != nil {
		return err
	}
	if answer.Status/100 != 2 {
		return fmt.Errorf("status %d", answer.Status)
	}
	return nil
}
