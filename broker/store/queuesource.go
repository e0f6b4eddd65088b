package store

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker"
)

// source is what this process has of one queue while it is read: one subscription
// for the messages of the engine, the messages that came, and the readers.
//
// What came stays here until it is settled. A message that no reader has is on
// the shelf, in the order of the stream, and the readers take the first one
// there. What a reader gives back returns to its place on the shelf. So nothing
// is given back to the engine, which would deliver it in another order, while
// somebody reads here. When the last reader has gone, see leave.
type source struct {
	q     *Queues
	queue *ledgerQueue

	mu         sync.Mutex
	consumer   *consumer // nil while it is made
	ended      bool      // no reader is left, or the engine does not deliver
	readers    []*reader // not changed in place
	turn       int       // which of them is the first to take
	held       map[uint64]*holding
	shelf      []*holding // those of held that no reader has, ascending
	shelfBytes int64
	paused     int // nothing is asked for or handed over, while the queue is purged
	pull       *pull
	recording  map[uint64]int // answers to come of the records of attempts
	waiting    []*recorded    // wait for such answers
	last       string         // the reply subject of the last acknowledgement
	said       uint64         // acknowledgements that nobody waits for
	processed  uint64         // of these, what the engine has processed
	probing    bool           // it is asked how far it is

	acks sync.WaitGroup // acknowledgements that were not sent yet
}

// holding is a message that the engine has delivered and that is not settled.
type holding struct {
	message broker.StoredMessage
	reply   string  // acknowledges it
	reader  *reader // that has it; nil: it is on the shelf
}

// recorded waits for records of attempts.
type recorded struct {
	sequences []uint64
	then      func()
}

func newSource(q *Queues, queue *ledgerQueue) *source {
	return &source{q: q, queue: queue, held: make(map[uint64]*holding)}
}

// sourceOf returns the source of a queue, nil if nobody reads it here.
func (q *Queues) sourceOf(queue string) *source {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.sources[queue]
}

func (q *Queues) allSources() []*source {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := make([]*source, 0, len(q.sources))
	for _, s := range q.sources {
		list = append(list, s)
	}
	return list
}

// openSource returns the source of a queue, and makes it if there is none.
func (q *Queues) openSource(queue string) (*source, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return nil, q.watcher.unfinished(q.err)
	}
	if s := q.sources[queue]; s != nil {
		return s, nil
	}
	if len(q.sources) >= q.ledger.limits.Queues {
		return nil, full(keyQueues, int64(q.ledger.limits.Queues))
	}
	s := newSource(q, q.ledger.pin(queue))
	q.sources[queue] = s
	q.reading.Store(int32(len(q.sources))) //nolint:gosec // Limits.Queues is small
	go s.begin()
	return s, nil
}

// begin makes the consumer, and asks for the first messages.
func (s *source) begin() {
	ctx, cancel := context.WithTimeout(s.q.ctx, leavePatience*s.q.o.Timeout)
	defer cancel()
	k, err := s.q.consumers.use(ctx, s.queue)
	if err != nil {
		s.fail(fmt.Errorf("the queue cannot be read: %w", err))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		s.q.consumers.release(k)
		return
	}
	s.consumer = k
	s.request()
}

// put puts a message on the shelf. The caller holds the lock.
func (s *source) put(h *holding) {
	h.reader = nil
	s.shelfBytes += int64(h.message.Size)
	if n := len(s.shelf); n == 0 || s.shelf[n-1].message.Sequence < h.message.Sequence {
		s.shelf = append(s.shelf, h)
		return
	}
	at, _ := s.onShelf(h.message.Sequence)
	s.shelf = slices.Insert(s.shelf, at, h)
}

func (s *source) onShelf(sequence uint64) (int, bool) {
	return slices.BinarySearchFunc(s.shelf, sequence, func(h *holding, want uint64) int {
		switch {
		case h.message.Sequence < want:
			return -1
		case h.message.Sequence > want:
			return 1
		}
		return 0
	})
}

// drop forgets a message, and returns it. The caller holds the lock.
func (s *source) drop(sequence uint64) *holding {
	h := s.held[sequence]
	if h == nil {
		return nil
	}
	delete(s.held, sequence)
	if h.reader == nil {
		if at, found := s.onShelf(sequence); found {
			s.shelf = slices.Delete(s.shelf, at, at+1)
			s.shelfBytes -= int64(h.message.Size)
		}
	}
	return h
}

// returnAll puts everything on the shelf that a reader has. The caller holds the
// lock.
func (s *source) returnAll(r *reader) {
	for _, h := range s.held {
		if h.reader == r {
			s.put(h)
		}
	}
}

// offer lets the readers take from the shelf, each time another one first. The
// caller does not hold the lock, nor any of the program.
func (s *source) offer() {
	s.mu.Lock()
	list, first := s.readers, 0
	if len(list) > 1 {
		s.turn++
		first = s.turn % len(list)
	}
	s.mu.Unlock()
	for i := range list {
		list[(first+i)%len(list)].deliver()
	}
}

// fail ends the source because of the engine, which gives everything to the next
// one by itself.
func (s *source) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	readers := s.readers
	s.end()
	if p := s.pull; p != nil {
		s.pull = nil
		_ = p.sub.Unsubscribe() // fails only if it has ended
		close(p.ended)
	}
	if k := s.consumer; k != nil {
		k.stale.Store(true)
		s.q.consumers.release(k)
	}
	s.clear()
	for _, r := range readers {
		r.dead, r.want, r.failure = true, 0, err
		r.tellFailure()
	}
}

// end makes a source that no reader uses any more. The caller holds the lock.
func (s *source) end() {
	s.ended = true
	s.readers = nil
	s.q.mu.Lock()
	if s.q.sources[s.queue.name] == s {
		delete(s.q.sources, s.queue.name)
		s.q.reading.Store(int32(len(s.q.sources))) //nolint:gosec // Limits.Queues is small
	}
	s.q.mu.Unlock()
	s.q.ledger.stay(s.queue)
	s.q.ledger.unpin(s.queue)
}

func (s *source) clear() {
	clear(s.held)
	s.shelf, s.shelfBytes = nil, 0
}

// leavePatience times the time-out of the engine is how long the end of reading
// may take, and how long the next reader waits for it.
const leavePatience = 3

// leave gives everything back to the engine, because the last reader has gone.
// The next reader of the queue waits until that is done. The caller holds the
// lock.
//
// The engine offers no order for that: it delivers what is given back at once for
// requests that are still out, and puts a message behind the others that it tried
// to deliver for a request whose subscription has ended. So nothing is given
// back. If the engine counts anything as delivered and not acknowledged, the
// consumer is made anew before it is used again, and delivers all that is left in
// the order of the stream. Nothing is forgotten by that: the attempts are records
// of ours, and the ledger knows what was handed over.
func (s *source) leave() {
	s.end()
	k := s.consumer
	if k == nil { // begin releases it
		s.clear()
		return
	}
	left := s.q.consumers.leave(k)
	if !s.q.spawn(func() { left(s.settle(k)) }) {
		left(true)
	}
}

// settle waits until everything is certain that the readers said, and reports
// whether the consumer must be made anew.
func (s *source) settle(k *consumer) (stale bool) {
	ctx, cancel := context.WithTimeout(s.q.ctx, leavePatience*s.q.o.Timeout)
	defer cancel()
	s.acks.Wait()
	s.mu.Lock()
	s.cancel()
	p := s.pull
	s.mu.Unlock()
	if p != nil {
		select {
		case <-p.ended:
		case <-ctx.Done():
			return true
		}
	}
	if wait(ctx, s.barrier) != nil {
		return true
	}
	s.mu.Lock()
	stale = len(s.held) > 0
	s.clear()
	s.mu.Unlock()
	if stale {
		return true
	}
	pending, err := s.q.consumers.unacknowledged(ctx, k)
	return err != nil || pending > 0
}

// wait waits for the outcome of a call.
func wait(ctx context.Context, call func(done func(error))) error {
	result := make(chan error, 1)
	call(func(err error) { result <- err })
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// barrier calls done when everything is certain that the readers said before. The
// engine processes what it hears about the messages of one consumer in its order,
// so its answer to the last one covers all.
func (s *source) barrier(done func(error)) {
	s.mu.Lock()
	if len(s.recording) == 0 {
		s.mu.Unlock()
		s.confirm(done)
		return
	}
	x := &recorded{then: func() { s.confirm(done) }}
	for sequence := range s.recording {
		x.sequences = append(x.sequences, sequence)
	}
	s.waiting = append(s.waiting, x)
	s.mu.Unlock()
}

// confirm calls done when the engine has processed the last acknowledgement.
func (s *source) confirm(done func(error)) {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last == "" {
		done(nil)
		return
	}
	s.q.control.request(last, sayProgress, func(_ *nats.Msg, err error) {
		if err != nil {
			err = s.q.watcher.unfinished(err)
		}
		done(err)
	})
}

// unacknowledged asks the engine how many messages of a consumer it has delivered
// and are not acknowledged.
func (c *consumers) unacknowledged(ctx context.Context, k *consumer) (n int, err error) {
	select { // the engine drops requests if there are too many
	case c.making <- struct{}{}:
		defer func() { <-c.making }()
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	m, err := c.q.o.Control.RequestWithContext(ctx, "$JS.API.CONSUMER.INFO."+c.q.names.stream+"."+k.name, nil)
	if err != nil {
		return 0, err
	}
	var info struct {
		Pending *int `json:"num_ack_pending"`
	}
	if err := apiAnswer(m, &info); err != nil {
		return 0, err
	}
	if info.Pending == nil {
		return 0, fmt.Errorf("%w: %q", errAnswer, m.Data)
	}
	return *info.Pending, nil
}
