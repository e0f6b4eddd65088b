package workqueue

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
)

// shards spreads the lock of the names; each Put takes one of them for reading.
const shards = 16

// Store is the set of queues. Make one with [New]. All its methods, and those of its consumers and deliveries, are
// safe for concurrent use, except from inside [Receiver.Offer].
type Store[M, C any] struct {
	bounds bounds
	dead   func(m M, queue string, attempts int) (deadQueue string, dm M, size int)
	seed   maphash.Seed
	shards [shards]shard[M, C]
	queues atomic.Int64 // names in the shards
	bytes  atomic.Int64 // sizes of all stored messages
}

type shard[M, C any] struct {
	mu     sync.RWMutex
	queues map[string]*queue[M, C] // nil when empty: a map never gives its memory back
}

// New returns an empty store.
//
// A message that comes back after its last attempt is given to dead, with its queue and how often it was delivered;
// dead returns the queue and the message, with its size, that take its place. If that queue is full, the message goes
// to the back of its old one, is delivered again, and the next return tries again: nothing is lost. With a dead queue
// of "" it takes its old place and goes on being delivered: that is the answer for messages that are dead letters
// already. A nil dead gives that answer always. dead is called without any lock held, from any call that returns
// messages; meanwhile the message is out of everyone's reach but counts as stored. It must not panic.
func New[M, C any](l Limits, dead func(m M, queue string, attempts int) (deadQueue string, dm M, size int)) *Store[M, C] {
	return &Store[M, C]{bounds: l.bounds(), dead: dead, seed: maphash.MakeSeed()}
}

// Put stores m as the newest message of the queue, or hands it to a consumer at once if one can take it. size is what
// it counts against the limits in bytes; below zero it counts as zero. The error is a *[FullError], and then nothing
// has changed. The limits are looked at first, so a message is refused also if a consumer could have taken it.
func (s *Store[M, C]) Put(c C, queue string, m M, size int) error {
	return s.put(c, nil, queue, m, size, 0)
}

// PutFor is Put for a message that counts for the share of an owner, nil for nobody's.
func (s *Store[M, C]) PutFor(c C, o *Owner, queue string, m M, size int) error {
	return s.put(c, o, queue, m, size, 0)
}

// put is Put for a message that replaces one which already counts for paid bytes in the total.
func (s *Store[M, C]) put(c C, o *Owner, name string, m M, size int, paid int64) error {
	q, err := s.open(name, o)
	if err != nil {
		return err
	}
	e := entry[M]{message: m, owner: o, size: int64(max(size, 0))}
	err = q.admit(&e, paid)
	if err == nil {
		q.pushBack(e)
		q.dispatch(c)
	}
	q.unlock()
	return err
}

// Consume adds a consumer to the queue. It takes part only after [Consumer.Start], so that the caller can confirm the
// subscription before its first message. prefetch is how many unsettled messages it may hold; zero or less means any
// number. With auto a message is settled as soon as Offer has returned true, so prefetch has no meaning (STOMP's
// ack:auto). The error is a *[FullError] for the number of queues.
func (s *Store[M, C]) Consume(queue string, r Receiver[M, C], prefetch int, auto bool) (*Consumer[M, C], error) {
	return s.ConsumeFor(nil, queue, r, prefetch, auto)
}

// ConsumeFor is Consume for a consumer whose queue, if it has to be made, counts for the share of an owner, nil for
// nobody's.
func (s *Store[M, C]) ConsumeFor(o *Owner, queue string, r Receiver[M, C], prefetch int, auto bool) (*Consumer[M, C], error) {
	q, err := s.open(queue, o)
	if err != nil {
		return nil, err
	}
	q.consumers++
	q.lastID++
	k := &Consumer[M, C]{queue: q, id: q.lastID, receiver: r, prefetch: prefetch, auto: auto}
	q.unlock()
	return k, nil
}

// open returns the queue of that name, made for the owner if need be, with its lock held.
func (s *Store[M, C]) open(name string, o *Owner) (*queue[M, C], error) {
	sh := s.shard(name)
	for {
		sh.mu.RLock()
		q := sh.queues[name]
		sh.mu.RUnlock()
		if q == nil {
			var err error
			if q, err = s.create(sh, name, o); err != nil {
				return nil, err
			}
		}
		q.mu.Lock()
		if !q.gone {
			return q, nil
		}
		q.mu.Unlock()
		s.forget(q) // whoever emptied it has not come to that yet
	}
}

// create makes the queue, or finds that someone else just did. The error says that there are too many.
func (s *Store[M, C]) create(sh *shard[M, C], name string, o *Owner) (*queue[M, C], error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if q := sh.queues[name]; q != nil {
		return q, nil
	}
	if o != nil && !reserve(&o.queues, 1, s.bounds.ownerQueues) {
		return nil, &FullError{LimitOwnerQueues, s.bounds.ownerQueues}
	}
	if !reserve(&s.queues, 1, s.bounds.queues) {
		if o != nil {
			o.queues.Add(-1)
		}
		return nil, &FullError{LimitQueues, s.bounds.queues}
	}
	if sh.queues == nil {
		sh.queues = make(map[string]*queue[M, C])
	}
	name = strings.Clone(name) // it may be part of a frame, or of a reader's buffer
	q := &queue[M, C]{store: s, name: name, owner: o}
	sh.queues[name] = q
	return q, nil
}

// forget removes a queue that is gone. It may be called more than once.
func (s *Store[M, C]) forget(q *queue[M, C]) {
	sh := s.shard(q.name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.queues[q.name] != q {
		return
	}
	delete(sh.queues, q.name)
	s.queues.Add(-1)
	if q.owner != nil {
		q.owner.queues.Add(-1)
	}
	if len(sh.queues) == 0 {
		sh.queues = nil
	}
}

func (s *Store[M, C]) shard(name string) *shard[M, C] {
	return &s.shards[maphash.String(s.seed, name)%shards]
}

// reserve adds n to v unless that would take it over limit.
func reserve(v *atomic.Int64, n, limit int64) bool {
	for {
		old := v.Load()
		if n > limit-old {
			return false
		}
		if v.CompareAndSwap(old, old+n) {
			return true
		}
	}
}
