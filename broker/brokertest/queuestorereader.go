package brokertest

import (
	"slices"

	"github.com/hoofbeat/hoofbeat/broker"
)

type keptReader struct {
	s        *QueueStore
	q        *keptQueue
	feed     broker.QueueFeed
	messages int
	bytes    int64
	given    []*kept // not handed over yet
	feeding  bool
	failed   error
	closed   bool
}

// hand gives waiting messages to the readers that want some, in turn.
func (s *QueueStore) hand(q *keptQueue) {
	for len(q.waiting) > 0 {
		i := slices.IndexFunc(q.readers, func(r *keptReader) bool { return r.messages > 0 && r.bytes > 0 })
		if i < 0 {
			return
		}
		r, m := q.readers[i], q.waiting[0]
		q.readers = append(slices.Delete(q.readers, i, i+1), r)
		q.waiting = q.waiting[1:]
		m.by = r
		r.messages--
		r.bytes -= int64(m.Size)
		r.given = append(r.given, m)
		s.given++
		r.start()
	}
}

// start has what a reader was given handed over.
func (r *keptReader) start() {
	if !r.feeding {
		r.feeding = true
		go r.run()
	}
}

func (r *keptReader) run() {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(r.given) > 0 {
		list := make([]broker.StoredMessage, len(r.given))
		for i, m := range r.given {
			list[i] = m.StoredMessage
			m.Redelivered = true // the next time
		}
		n := len(r.given)
		r.given = nil
		s.mu.Unlock()
		r.feed.Messages(list)
		s.mu.Lock()
		s.taken += uint64(n)
		s.moved.Broadcast()
	}
	r.feeding = false
	if err := r.failed; err != nil {
		r.failed = nil
		s.mu.Unlock()
		r.feed.Failed(err)
		s.mu.Lock()
	}
}

// Quiet waits until all messages that readers want are handed over.
func (s *QueueStore) Quiet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for until := s.given; s.taken < until; {
		s.moved.Wait()
	}
}

// Open implements [broker.QueueStore].
func (s *QueueStore) Open(queue string, feed broker.QueueFeed) (broker.QueueReader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queue(queue)
	r := &keptReader{s: s, q: q, feed: feed}
	q.readers = append(q.readers, r)
	return r, nil
}

// Want implements [broker.QueueReader].
func (r *keptReader) Want(messages int, bytes int64) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if !r.closed {
		r.messages, r.bytes = messages, bytes
		r.s.hand(r.q)
	}
}

// Ack implements [broker.QueueReader].
func (r *keptReader) Ack(sequences []uint64, done func(error)) {
	s := r.s
	s.mu.Lock()
	var err error
	if r.closed {
		err = broker.ErrNotHeld
	}
	for _, n := range sequences {
		if m := r.held(n); m != nil {
			s.remove(r.q, m)
		} else {
			err = broker.ErrNotHeld
		}
	}
	s.mu.Unlock()
	answer(done, err)
}

func (r *keptReader) held(sequence uint64) *kept {
	if m := r.q.all[sequence]; m != nil && m.by == r && !r.closed {
		return m
	}
	return nil
}

// Attempted implements [broker.QueueReader].
func (r *keptReader) Attempted(sequence uint64, attempts int) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if m := r.held(sequence); m != nil {
		m.Attempts = attempts
	}
}

// Return implements [broker.QueueReader].
func (r *keptReader) Return(sequences []uint64) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for _, n := range sequences {
		if m := r.held(n); m != nil {
			r.q.wait(m)
		}
	}
	r.s.hand(r.q)
}

// wait puts a message that was held back to its place.
func (q *keptQueue) wait(m *kept) {
	m.by = nil
	i, _ := q.place(m.Sequence)
	q.waiting = slices.Insert(q.waiting, i, m)
}

// Close implements [broker.QueueReader].
func (r *keptReader) Close() {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.close()
}

func (r *keptReader) close() {
	if r.closed {
		return
	}
	for _, m := range r.q.all {
		if m.by == r {
			r.q.wait(m)
		}
	}
	r.s.taken += uint64(len(r.given))
	r.given, r.closed = nil, true
	r.s.moved.Broadcast()
	r.q.readers = slices.DeleteFunc(r.q.readers, func(x *keptReader) bool { return x == r })
	r.s.hand(r.q)
	r.s.forget(r.q)
}

// Fail ends the readers of a queue: their feeds are told err.
func (s *QueueStore) Fail(queue string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[queue]
	if q == nil {
		return
	}
	for _, r := range slices.Clone(q.readers) {
		r.close()
		r.failed = err
		r.start()
	}
}
