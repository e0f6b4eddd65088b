package events

import (
	"fmt"
	"time"
)

// maxAnswer is how many bytes of an answer are read, so that its connection can
// be reused.
const maxAnswer = 64 << 10

// gathering is how long events wait for others, to share a request with them.
const gathering = 100 * time.Millisecond

// work sends events until the Sender is closed.
func (s *Sender) work() {
	defer close(s.done)
	for s.await() {
		s.mu.Lock()
		r := s.queue.take(s.batch)
		s.mu.Unlock()
		if r != nil {
			r.encode(s.run, s.batch)
			s.send(r)
		}
	}
}

// await waits until there is something to send. It returns false if the queue is
// empty and the Sender is closing.
func (s *Sender) await() bool {
	for {
		waiting, enough := s.look()
		if waiting > 0 {
			if s.batch && !enough {
				s.pause(gathering)
			}
			return true
		}
		select {
		case <-s.wake:
		case <-s.closing:
			if waiting, _ := s.look(); waiting == 0 {
				return false
			}
		}
	}
}

// look returns the number of events that wait, and whether they fill a request.
func (s *Sender) look() (waiting int, enough bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue.list), s.queue.enough()
}

// pause waits, but not while the Sender is closing.
func (s *Sender) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.closing:
	}
}

// send sends a request until it is accepted, or given up at the bounds of the
// manner or of Close.
func (s *Sender) send(r *request) {
	begun, pause := time.Now(), firstPause
	for try := 1; ; try++ {
		last := s.isClosing()
		err := s.post(r.body)
		if err == nil {
			s.accepted(r)
			return
		}
		if last {
			s.leave(r, err)
			return
		}
		if s.maxTries > 0 && (try == s.maxTries || time.Since(begun)+pause > s.maxTime) {
			s.giveUp(r)
			s.log.Warn(s.name+" dropped after the last attempt", "url", s.place, "events", r.n, "tries", try, "error", err)
			return
		}
		s.complain(err)
		s.pause(pause)
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

// complain logs that events are not accepted, now and then.
func (s *Sender) complain(err error) {
	s.mu.Lock()
	if s.queue.failing.IsZero() {
		s.queue.failing = time.Now()
	}
	waiting := len(s.queue.list) + s.queue.sending
	s.mu.Unlock()
	if time.Since(s.complained) < complaints {
		return
	}
	s.complained = time.Now()
	s.log.Warn(s.name+" are not accepted; the broker keeps trying", "url", s.place, "waiting", waiting, "error", err)
}

// accepted forgets a request.
func (s *Sender) accepted(r *request) {
	s.mu.Lock()
	q := &s.queue
	q.bytes -= r.cost
	q.sending, q.delivered = 0, q.delivered+int64(r.n)
	dropped, again := q.dropped, !q.failing.IsZero()
	if again {
		q.dropped, q.failing = 0, time.Time{}
	}
	s.mu.Unlock()
	if again {
		s.complained = time.Time{}
		s.log.Info(s.name+" are accepted again", "url", s.place, "dropped", dropped)
	}
}

// giveUp forgets a request that is not accepted: its events are missing.
func (s *Sender) giveUp(r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue.bytes -= r.cost
	s.queue.sending = 0
	s.queue.missing += r.n + r.missing
	s.queue.lost += int64(r.n)
}

// leave drops the waiting events when the process ends.
func (s *Sender) leave(r *request, err error) {
	s.mu.Lock()
	left, dropped := len(s.queue.list)+r.n, s.queue.dropped
	s.queue.list = nil
	s.mu.Unlock()
	s.log.Warn(s.name+" were not accepted before the shutdown and are lost", "url", s.place, "events", left, "dropped", dropped, "error", err)
}

// post sends a request once. Its errors contain nothing from the URL or the
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
