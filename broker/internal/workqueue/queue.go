package workqueue

import (
	"math"
	"sync"
)

// queue is one destination. Its lock guards all fields below it, and also its
// consumers and their deliveries.
type queue[M, C any] struct {
	store *Store[M, C]
	name  string
	owner *Owner         // whose share it counts against, nil = none
	own   *backlog[M, C] // of a Backlog, nil for all other queues

	mu         sync.Mutex
	waiting    waiting[M]
	ready      *Consumer[M, C] // ring of the consumers that can take a message, beginning with the one served longest ago
	newest     *Consumer[M, C] // of all that are not closed
	messages   int64           // stored messages: waiting, unsettled, or on the way to a dead-letter queue
	bytes      int64           // sizes of the stored messages
	unsettled  int             // messages that consumers hold
	free       int             // messages that the consumers in the ring can take
	consumers  int             // consumers not closed, started or not
	lastSeq    uint64
	lastID     uint32
	nextExpiry int64      // no waiting message expires before; 0 = none expires
	expired    []entry[M] // found by dispatch, until finish removes them
	gone       bool       // empty and about to be removed; a caller that finds it must look up the name again
}

// admit counts one more message, or returns the limit that it would exceed.
// paid is the part of its size that counts in the store's total already.
func (q *queue[M, C]) admit(e *entry[M], paid int64) error {
	b, size := &q.store.bounds, e.size
	if q.own != nil {
		b = &q.own.bounds
	}
	switch {
	case q.messages >= b.messages:
		return &FullError{LimitMessages, b.messages}
	case size > b.bytes-q.bytes:
		return &FullError{LimitBytes, b.bytes}
	case e.owner != nil && !reserve(&e.owner.bytes, size-paid, b.ownerBytes):
		return &FullError{LimitOwnerBytes, b.ownerBytes}
	case !reserve(&q.store.bytes, size-paid, b.total):
		if e.owner != nil {
			e.owner.bytes.Add(paid - size)
		}
		return &FullError{LimitTotalBytes, b.total}
	}
	q.messages++
	q.bytes += size
	return nil
}

// settle removes a message from all counts.
func (q *queue[M, C]) settle(e *entry[M]) {
	q.messages--
	q.bytes -= e.size
	q.store.bytes.Add(-e.size)
	if e.owner != nil {
		e.owner.bytes.Add(-e.size)
	}
}

// pushBack adds e as the newest message.
func (q *queue[M, C]) pushBack(e entry[M]) {
	if q.store.outside == nil || q.own != nil { // else the place of the latest: others are not ours to give
		q.lastSeq++
	}
	e.seq = q.lastSeq
	if q.own != nil {
		e.lost += q.own.lost
		q.own.lost = 0
	}
	q.noteExpiry(&e)
	q.waiting.fresh.push(e)
}

// dispatch delivers messages until none waits or no consumer can take one. Each
// iteration delivers a message, parks a consumer, or discards a message. The caller releases the lock with finish.
func (q *queue[M, C]) dispatch(c C) {
	for q.ready != nil && q.waiting.len() > 0 {
		if q.discard() {
			continue
		}
		e := q.waiting.front()
		k := q.ready
		if k.id == e.refusedBy {
			k = k.next // k itself if it is the only one
		}
		q.offer(c, k, *e)
	}
}

// offer offers the front message to k, which must be ready.
func (q *queue[M, C]) offer(c C, k *Consumer[M, C], e entry[M]) {
	e.attempts = min(e.attempts, math.MaxInt32-1) + 1
	d := &Delivery[M, C]{entry: e, consumer: k, settled: k.auto}
	if !k.receiver.Offer(c, d) {
		d.settled = true
		k.parked = true
		k.leave()
		return
	}
	q.waiting.pop()
	if k.auto {
		q.settle(&e)
		q.left(&e, e.lost, false)
	} else {
		k.hold(d)
	}
	k.leave()
	k.join() // at the end of the ring, if it can take more
}

// unlock releases the lock after a change. If that left the queue without
// messages and consumers, it removes the queue from the store.
func (q *queue[M, C]) unlock() {
	q.gone = q.messages == 0 && q.consumers == 0 && q.own == nil
	gone := q.gone
	q.mu.Unlock()
	if gone {
		q.store.forget(q)
	}
}
