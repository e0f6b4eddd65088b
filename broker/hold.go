package broker

import "time"

// storePatience is how long a session that reads nothing waits for an answer of a
// store, one after another. Until then the end of its connection is not seen.
const storePatience = 30 * time.Second

// hold stops the reading of a session that has too much in flight, or that is to
// end when what waits has been answered. Everything else goes on: messages and
// heart-beats to the client, the end of the session by others, and its mail. The
// reader calls it.
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

// await stops the reading until later has ended, and reports false if the session
// ends first. There is an answer in the list that waits for it, too.
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

// sleep has the reader wait for one of two channels, and read its mail meanwhile.
// What was touched is written first.
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

// answered returns when the latest answer was given, if that was after since.
func (o *outbox) answered(since time.Time) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := o.receipts; r != nil && r.progress.After(since) {
		return r.progress
	}
	return since
}

// fail ends the session for what a frame of its client did, when the frames
// before it have their answers.
func (s *session) fail(f *Error, receipt string, bt *batch) {
	if s.deferred && s.out.endLast(f, receipt, 0) {
		s.hold(bt)
		return
	}
	s.end(f, receipt, bt)
}

// retire ends the session when its client has the receipts that it waits for.
// Nothing more is read. Anybody may call it.
func (s *session) retire(f *Error) {
	if !s.out.endLast(f, "", drainReceipts) {
		s.endNow(f)
	}
}
