package workqueue

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// shards is the number of locks for the queue names. Each Put takes one of them
// for reading.
const shards = 16

// Store is a set of queues. Create one with [New]. All its methods, and those
// of its consumers and deliveries, are safe for concurrent use, but must not be
// called from [Receiver.Offer].
type Store[M, C any] struct {
	bounds bounds
	dead   func(m M, queue string, attempts int) (deadQueue string, dm M, size int)
	expiry Expiry[M]
	// outside is what keeps the messages, nil if the store itself does.
	outside *Outside[M, C]
	seed    maphash.Seed
	shards  [shards]shard[M, C]
	queues  atomic.Int64 // number of queues in the shards
	bytes   atomic.Int64 // sizes of all stored messages, also of those in a Backlog
	made    time.Time
	clock   func() time.Duration // see SetClock
}

type shard[M, C any] struct {
	mu     sync.RWMutex
	queues map[string]*queue[M, C] // nil when empty, because a map never shrinks
	last   uint64                  // no place of a queue that is gone was greater
}

// New returns an empty store.
//
// When a message returns after its last attempt, the store calls dead with the
// message, its queue and the number of its deliveries. dead returns a queue, a
// message and its size: these replace the original message. If that queue is
// full, the original goes to the end of its old queue and is delivered again,
// and its next return tries once more, so nothing is lost. If dead returns the
// queue "", the message returns to its old place and continues to be delivered;
// use this for messages that are dead letters already. A nil dead acts as if it
// always returned "". Any call that returns messages may call dead. It is
// called without locks held; meanwhile the message counts as stored but no
// consumer can get it. dead must not panic.
func New[M, C any](l Limits, dead func(m M, queue string, attempts int) (deadQueue string, dm M, size int)) *Store[M, C] {
	return &Store[M, C]{bounds: l.bounds(), dead: dead, seed: maphash.MakeSeed(), made: time.Now()}
}

// Put stores m as the newest message of the queue, or delivers it at once if a
// consumer can take it. size counts against the limits in bytes; a negative one
// counts as zero. The error is a *[FullError]; nothing has changed then. Put
// checks the limits first, so it may refuse a message that a consumer could
// have taken.
func (s *Store[M, C]) Put(c C, queue string, m M, size int) error {
	return s.put(c, Put[M]{Queue: queue, Message: m, Size: size}, 0)
}

// PutOne is like Put, for a message with an owner or an expiry.
func (s *Store[M, C]) PutOne(c C, p Put[M]) error { return s.put(c, p, 0) }

// put is PutOne for a message that replaces one for which the store's total
// already counts paid bytes.
func (s *Store[M, C]) put(c C, p Put[M], paid int64) error {
	q, err := s.open(p.Queue, p.Owner)
	if err != nil {
		return err
	}
	e := p.entry()
	e.since = s.stamp()
	err = q.admit(&e, paid)
	if err == nil {
		q.pushBack(e)
		q.dispatch(c)
	}
	q.finish(c)
	return err
}

// Consume adds a consumer to the queue. The consumer gets messages only after
// [Consumer.Start], so that the caller can confirm the subscription before its
// first message. prefetch is how many unsettled messages it may hold; zero or
// less means any number. With auto (STOMP's ack:auto), a message is settled as
// soon as Offer returns true, and prefetch has no effect. The error is a
// *[FullError] for the number of queues.
func (s *Store[M, C]) Consume(queue string, r Receiver[M, C], prefetch int, auto bool) (*Consumer[M, C], error) {
	return s.ConsumeFor(nil, queue, r, prefetch, auto)
}

// ConsumeFor is like Consume, but if it creates the queue, the queue counts
// against the share of an owner. nil means no owner.
func (s *Store[M, C]) ConsumeFor(o *Owner, queue string, r Receiver[M, C], prefetch int, auto bool) (*Consumer[M, C], error) {
	q, err := s.open(queue, o)
	if err != nil {
		return nil, err
	}
	k := q.newConsumer(r, prefetch, auto)
	q.unlock()
	return k, nil
}

// open returns the queue with this name, locked. If the queue does not exist,
// open creates it for the owner.
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
		s.forget(q) // the caller that emptied it has not removed it yet
	}
}

// create adds a queue, or returns the one that another call has just added. The
// error says that there are too many.
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
	name = strings.Clone(name) // do not keep the frame or buffer that contains it
	q := &queue[M, C]{store: s, name: name, owner: o}
	if s.outside == nil { // its places are never those of an earlier queue
		q.lastSeq = sh.last
	}
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
	sh.last = max(sh.last, q.lastSeq)
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

// reserve adds n to v and reports true, unless the result would exceed limit.
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
