package workqueue

import (
	"math"
	"time"
)

// Backlog is a queue with bounds of its own for one consumer at a time, such as
// a durable subscription. It has no place among [Store.Queues] and no caller
// finds it by its name. It exists until Remove, also while it is empty. When it
// is full it drops its oldest waiting message, so Put never fails. Its bytes
// count in the store's total and in the share of its owner. A message that
// returns too often becomes a dead letter, as in any queue.
//
// All methods are safe for concurrent use, but must not be called from
// [Receiver.Offer].
type Backlog[M, C any] struct{ queue *queue[M, C] }

// Keeper is told what becomes of the messages of a [Backlog], so that it can keep
// them elsewhere too. The functions are called with the lock of the queue held
// and must not block.
type Keeper[M any] struct {
	// Gone is told that a message has left the backlog for good. told is the
	// number that [Delivery.Lost] returned, if the consumer acknowledged the
	// message. dropped means that a bound was reached. It is not called for a
	// message that [Outside.Bury] has taken.
	Gone func(m M, told int, dropped bool)
	// Attempted is told the new number of failed deliveries of a message that
	// returns.
	Attempted func(m M, attempts int)
}

// Restored is a message for [Backlog.Restore].
type Restored[M any] struct {
	Put[M]
	Age         time.Duration // since it was first put
	Attempts    int           // failed deliveries
	Redelivered bool          // a consumer may have seen it before
}

// Terms are the bounds of a [Backlog].
type Terms struct {
	// Name is what the function given to [New] gets as the queue.
	Name string
	// Owner is whose share the messages count against, nil for none.
	Owner *Owner
	// Messages and Bytes limit the stored messages, including unsettled ones. A
	// value of zero or less means no limit.
	Messages int
	Bytes    int64
	// Age is how long a message waits before it is dropped, in steps of a tenth
	// of a second. Zero or less means no limit. An unsettled message is not
	// dropped, but it is when it returns.
	Age time.Duration
	// Expired is called for each message that reached its [Put.Expires]. It must
	// not block: the lock of the queue is held.
	Expired func()
}

// backlog is what a queue that is a Backlog has besides its other fields. The
// lock of the queue guards it.
type backlog[M, C any] struct {
	Terms
	bounds  bounds
	holder  *Consumer[M, C] // the latest consumer
	lost    uint32          // dropped after the newest message: the next one that is put reports it
	dropped int64           // since the beginning
	held    int64           // bytes of the messages that the consumer holds or returns
	removed bool
	keeper  Keeper[M]
}

// NewBacklog returns an empty backlog.
func (s *Store[M, C]) NewBacklog(t Terms) *Backlog[M, C] {
	own := &backlog[M, C]{Terms: t, bounds: s.bounds}
	own.bounds.messages, own.bounds.bytes = bound(int64(t.Messages), math.MaxInt64), bound(t.Bytes, math.MaxInt64)
	return &Backlog[M, C]{&queue[M, C]{store: s, name: t.Name, own: own}}
}

// Put stores a message as the newest one, or delivers it at once if the consumer
// can take it. To make room it drops the oldest waiting messages. If there would
// be no room without all of them, because of what the consumer holds or the store
// has, or because the message alone is too large, only the message itself is
// dropped. Put uses the Owner of the Terms and
// ignores Queue and Owner of p.
func (l *Backlog[M, C]) Put(c C, p Put[M]) {
	q := l.queue
	e := p.entry()
	e.owner = q.own.Owner
	e.since = q.store.tick()
	q.mu.Lock()
	switch {
	case q.own.removed:
		q.left(&e, 0, false)
	case q.makeRoom(&e):
		q.pushBack(e)
		q.dispatch(c)
	default:
		q.own.dropped++
		q.own.lost++
		q.left(&e, 0, true)
	}
	q.unlock()
}

// Keep has a keeper told what becomes of the messages. Call it before the
// backlog is used.
func (l *Backlog[M, C]) Keep(k Keeper[M]) { l.queue.own.keeper = k }

// Restore fills a backlog that was just made with what another one had: its
// messages, the oldest first, the number of messages that it dropped, and how
// many of these the consumer does not know of. The bounds apply.
func (l *Backlog[M, C]) Restore(list []Restored[M], dropped int64, untold int) {
	q := l.queue
	now := q.store.tick()
	q.mu.Lock()
	q.own.dropped, q.own.lost = dropped, uint32(max(untold, 0)) //nolint:gosec // a number of messages
	for i := range list {
		r := &list[i]
		e := r.entry()
		e.owner = q.own.Owner
		e.since = now - uint32(min(max(r.Age, 0), maxAge)/ageStep)   //nolint:gosec // bounded
		e.attempts = int32(min(max(r.Attempts, 0), math.MaxInt32-1)) //nolint:gosec // bounded
		if r.Redelivered {
			e.refusedBy = untouched
		}
		if q.makeRoom(&e) {
			q.pushBack(e)
			continue
		}
		q.own.dropped++
		q.own.lost++
		q.left(&e, 0, true)
	}
	q.unlock()
}

// left tells the keeper of a backlog that a message has left it for good.
func (q *queue[M, C]) left(e *entry[M], told uint32, dropped bool) {
	if q.own != nil && q.own.keeper.Gone != nil {
		q.own.keeper.Gone(e.message, int(told), dropped)
	}
}

// makeRoom counts e, after it has dropped as many of the oldest waiting messages
// as necessary. It reports false if there is no room, and drops none if that
// would not be enough.
func (q *queue[M, C]) makeRoom(e *entry[M]) bool {
	if q.admit(e, 0) == nil {
		return true
	}
	for q.canMakeRoom(e) {
		q.dropFront()
		if q.admit(e, 0) == nil {
			return true
		}
	}
	return false
}

// canMakeRoom reports whether messages wait and there would be room for e
// without all of them.
func (q *queue[M, C]) canMakeRoom(e *entry[M]) bool {
	b, n, waiting := &q.own.bounds, q.waiting.len(), q.bytes-q.own.held
	return n > 0 && q.messages-int64(n) < b.messages &&
		e.size <= b.bytes-q.own.held &&
		e.size <= b.total-(q.store.bytes.Load()-waiting) &&
		(e.owner == nil || e.size <= b.ownerBytes-(e.owner.bytes.Load()-waiting))
}

// Consume adds the consumer, as [Store.Consume] does. The caller closes it
// before it adds another.
func (l *Backlog[M, C]) Consume(r Receiver[M, C], prefetch int, auto bool) *Consumer[M, C] {
	q := l.queue
	q.mu.Lock()
	k := q.newConsumer(r, prefetch, auto)
	q.own.holder = k
	q.unlock()
	return k
}

// Remove drops all waiting messages and everything that is put later. Unsettled
// messages are dropped when the consumer returns them.
func (l *Backlog[M, C]) Remove() {
	q := l.queue
	q.mu.Lock()
	q.own.removed = true
	for q.waiting.len() > 0 {
		e := q.waiting.front()
		q.settle(e)
		q.left(e, 0, false)
		q.waiting.pop()
	}
	q.unlock()
}

// Sweep drops the messages that are too old or have expired. Without it, this
// happens only when they would be delivered.
func (l *Backlog[M, C]) Sweep() {
	q := l.queue
	q.mu.Lock()
	for q.waiting.len() > 0 && q.discard() {
	}
	if q.nextExpiry != 0 && q.store.past(q.nextExpiry) {
		q.collectExpired()
	}
	q.unlock()
}

// BacklogStats is a snapshot of the counts of a [Backlog].
type BacklogStats struct {
	Messages  int   // stored messages, including unsettled ones
	Bytes     int64 // sizes of the stored messages
	Unsettled int   // messages that the consumer holds
	Dropped   int64 // messages dropped because of a bound of the Terms or of the store
	// Oldest is the age of the oldest stored message, in steps of a tenth of a
	// second, 0 if there is none.
	Oldest time.Duration
}

// Stats returns the counts.
func (l *Backlog[M, C]) Stats() BacklogStats {
	q := l.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	st := BacklogStats{Messages: int(q.messages), Bytes: q.bytes, Unsettled: q.unsettled, Dropped: q.own.dropped}
	now := q.store.tick()
	oldest := now
	if q.waiting.len() > 0 {
		oldest = min(oldest, q.waiting.front().since)
	}
	if k := q.own.holder; k != nil && k.first != nil {
		oldest = min(oldest, k.first.entry.since)
	}
	st.Oldest = time.Duration(now-oldest) * ageStep
	return st
}

// ageStep is the unit of entry.since: 32 bits of it are 13 years.
const ageStep = 100 * time.Millisecond

// maxAge is the greatest age that a message can have when it is restored.
const maxAge = 5 * 365 * 24 * time.Hour

// tick returns the present. It begins with maxAge when the store is made.
func (s *Store[M, C]) tick() uint32 { return uint32((time.Since(s.made) + maxAge) / ageStep) }

// tooOld reports whether a message has reached the age of the Terms.
func (q *queue[M, C]) tooOld(e *entry[M]) bool {
	return q.own != nil && q.own.Age > 0 && time.Duration(q.store.tick()-e.since)*ageStep >= q.own.Age
}

// holds counts bytes that the consumer of a backlog holds, or no longer holds.
func (q *queue[M, C]) holds(bytes int64) {
	if q.own != nil {
		q.own.held += bytes
	}
}

// abandoned settles messages that return to a backlog that is removed, and
// reports whether it did.
func (q *queue[M, C]) abandoned(es []entry[M]) bool {
	if q.own == nil || !q.own.removed {
		return false
	}
	for i := range es {
		q.settle(&es[i])
		q.left(&es[i], 0, false)
	}
	return true
}

// dropFront drops the oldest waiting message.
func (q *queue[M, C]) dropFront() {
	e := q.waiting.front()
	lost := 1 + e.lost
	q.own.dropped++
	q.settle(e)
	q.left(e, 0, true)
	q.waiting.pop()
	q.pass(lost)
}

// pass has the message that comes next report a loss. It is the front one, for
// messages that the consumer holds came before the loss, also if they return.
func (q *queue[M, C]) pass(lost uint32) {
	switch {
	case lost == 0: // always, except in a backlog
	case q.waiting.len() > 0:
		q.waiting.front().lost += lost
	default:
		q.own.lost += lost
	}
}

// Lost returns the number of messages that a [Backlog] dropped between this
// message and the one before it. A redelivery returns the same number again.
func (d *Delivery[M, C]) Lost() int { return int(d.entry.lost) }
