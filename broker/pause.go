package broker

import "time"

// storePatience limits the time that a session that has stopped reading waits
// for each answer of a store. During the wait, the session does not notice the
// end of its connection.
const storePatience = 30 * time.Second

// hold stops reading from a session that has too many unanswered frames or
// bytes, or that ends as soon as its pending frames are answered. Everything
// else continues: messages and heart-beats to the client, its mail, and the end
// of the session by other goroutines. The reader calls it.
func (s *session) hold(bt *batch) {
	o := &s.out
	o.mu.Lock()
	r := o.receipts
	if r == nil {
		s.deferred = false
		o.mu.Unlock()
		return
	}
	if !r.full && !r.last {
		o.mu.Unlock()
		return
	}
	if r.room == nil {
		r.room = make(chan struct{})
	}
	room := r.room
	o.mu.Unlock()
	s.sleep(bt, room, nil)
}

// await stops reading until later has ended. It reports false if the session
// ends first. The list also contains an answer that waits for later.
func (s *session) await(later *completion, bt *batch) (err error, ended bool) {
	o := &s.out
	o.mu.Lock()
	r := o.receipts
	if r == nil { // the session has ended
		o.mu.Unlock()
		return nil, false
	}
	if r.over == nil {
		r.over = make(chan struct{})
	}
	over := r.over
	o.mu.Unlock()
	done := make(chan struct{})
	var how error
	later.whenEnded(func(err error) {
		how = err
		close(done)
	})
	s.sleep(bt, done, over)
	select {
	case <-done:
		return how, true
	default:
		return nil, false
	}
}

// sleep makes the reader wait for one of two channels and handle its mail
// meanwhile. It flushes the touched outboxes first.
func (s *session) sleep(bt *batch, one, other <-chan struct{}) {
	before := s.enter(bt)
	defer s.exit(before)
	m := s.mailbox()
	bell := m.listen()
	defer m.ignore()
	since := time.Now()
	timer := time.NewTimer(storePatience)
	defer timer.Stop()
	for {
		s.readMail()
		bt.flush()
		select {
		case <-one:
			return
		case <-other:
			return
		case <-bell:
		case <-timer.C:
			left := storePatience - time.Since(s.out.answered(since))
			if left <= 0 {
				s.end(&Error{Reason: ReasonInternalError, Message: "the store has not answered for " + storePatience.String()}, "", bt)
			}
			timer.Reset(max(left, time.Second))
		}
	}
}

// goesOn records that a part of a waiting answer is done: a session must not end
// because the whole takes longer than storePatience.
func (o *outbox) goesOn() {
	o.mu.Lock()
	if r := o.receipts; r != nil {
		r.progress = time.Now()
	}
	o.mu.Unlock()
}

// answered returns the time of the latest answer, or since if that is later.
func (o *outbox) answered(since time.Time) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := o.receipts; r != nil && r.progress.After(since) {
		return r.progress
	}
	return since
}
