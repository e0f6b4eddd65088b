package store

import (
	"math"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// ledger counts what the queues of the stream hold: for the limits that the
// engine does not know, for listing, and to find messages by their sequence. On
// one node it is exact: it is counted anew from the stream at each start.
//
// A message is reserved before it is sent to the engine, and stored or canceled
// with the answer. It is removed when it is acknowledged, which may be before
// its own answer was read. Removing twice counts once.
type ledger struct {
	limits Limits // with defaults, no limit as the largest number

	mu       sync.Mutex
	queues   map[string]*ledgerQueue
	shares   map[string]*ledgerShare
	counted  int   // queues that have messages or reservations
	bytes    int64 // sizes of all messages and reservations
	due      dueHeap
	expiring int           // messages with an expiry
	epoch    int           // counts resets: what was reserved before is void
	settled  chan struct{} // closed when a ghost is gone, nil if nobody waits
}

// ledgerQueue is one queue. Its fields are guarded by ledger.mu, except those
// that do not change.
type ledgerQueue struct {
	name  string
	token string // of its subject
	hash  string

	entries    []ledgerEntry // ascending, from head on
	head       int
	live       int   // entries that are not removed
	bytes      int64 // their sizes
	reserved   int
	reBytes    int64
	ghosts     int                   // removed here, and perhaps not yet in the engine
	early      map[uint64]struct{}   // removed before they were stored
	departures map[uint64]*departure // being removed from the engine, nil: none
	owner      *ledgerShare          // whose queue it is, see own
	counted    bool
	pins       int    // it must stay, although it may be empty
	seen       uint64 // the greatest sequence handed to a consumer
	wide       bool   // messages lie, or may lie, under subjects below its own
}

// ledgerShare is what counts against the limits of one user or address.
type ledgerShare struct {
	name   string
	bytes  int64
	uses   int // messages and reservations
	queues int
}

// reservation is room for one message.
type reservation struct {
	queue   *ledgerQueue
	share   *ledgerShare
	size    uint32
	expires int64
	epoch   int
}

func newLedger(l Limits) *ledger {
	return &ledger{limits: l.complete(), queues: make(map[string]*ledgerQueue), shares: make(map[string]*ledgerShare)}
}

// reset forgets everything but the queues that are pinned.
func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch++
	l.shares, l.counted, l.bytes, l.due, l.expiring = make(map[string]*ledgerShare), 0, 0, nil, 0
	for name, q := range l.queues {
		if q.pins == 0 {
			delete(l.queues, name)
			continue
		}
		q.clear()
	}
	l.wake()
}

func (q *ledgerQueue) clear() {
	q.entries, q.head, q.live, q.bytes = nil, 0, 0, 0
	q.reserved, q.reBytes, q.ghosts, q.early = 0, 0, 0, nil
	q.owner, q.counted, q.departures = nil, false, nil
}

// queue returns the queue with that name, and makes it if it does not exist.
// The caller holds the lock.
func (l *ledger) queue(name string) *ledgerQueue {
	q := l.queues[name]
	if q == nil {
		token, hash := queueToken(name)
		q = &ledgerQueue{name: name, token: token, hash: hash}
		l.queues[name] = q
	}
	return q
}

// pin returns a queue, which stays until it is unpinned.
func (l *ledger) pin(name string) *ledgerQueue {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queue(name)
	q.pins++
	return q
}

func (l *ledger) unpin(q *ledgerQueue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q.pins--
	l.tidy(q)
}

// tidy brings the count of queues up to date, and forgets a queue that is empty.
// The caller holds the lock.
func (l *ledger) tidy(q *ledgerQueue) {
	if exists := q.live+q.reserved > 0; exists != q.counted {
		q.counted = exists
		if exists {
			l.counted++
		} else {
			l.counted--
		}
	}
	if !q.counted {
		l.own(q, nil)
		q.entries, q.head = nil, 0
		if q.pins == 0 && q.ghosts == 0 && l.queues[q.name] == q {
			delete(l.queues, q.name)
		}
	} else if q.live > 0 {
		l.own(q, q.entries[q.head].share)
	}
}

// own makes s the owner of the queue: the share of its oldest message, or of the
// first reservation of a queue without messages.
func (l *ledger) own(q *ledgerQueue, s *ledgerShare) {
	if q.owner == s {
		return
	}
	if q.owner != nil {
		q.owner.queues--
		l.drop(q.owner)
	}
	if q.owner = s; s != nil {
		s.queues++
	}
}

func (l *ledger) share(name string) *ledgerShare {
	if name == "" {
		return nil
	}
	s := l.shares[name]
	if s == nil {
		s = &ledgerShare{name: name}
		l.shares[name] = s
	}
	return s
}

func (l *ledger) drop(s *ledgerShare) {
	if s.uses == 0 && s.queues == 0 && l.shares[s.name] == s {
		delete(l.shares, s.name)
	}
}

// reserve reserves room for all messages, or for none. A replacement may use the
// part of the total that others leave free.
func (l *ledger) reserve(list []broker.QueuePut, replacement bool) ([]reservation, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	done := make([]reservation, 0, len(list))
	for i := range list {
		r, err := l.reserveOne(&list[i], replacement)
		if err != nil {
			for _, r := range done {
				l.cancel(r)
			}
			return nil, err
		}
		done = append(done, r)
	}
	return done, nil
}

func (l *ledger) reserveOne(p *broker.QueuePut, replacement bool) (reservation, error) {
	size := uint32(min(max(p.Size, 0), maxPayloadSize)) //nolint:gosec // bounded
	q, s, bytes := l.queue(p.Queue), l.share(p.Share), int64(size)
	r := reservation{queue: q, share: s, size: size, epoch: l.epoch}
	if !p.Expires.IsZero() {
		r.expires = p.Expires.UnixMilli()
	}
	if err := l.room(q, s, bytes, replacement); err != nil {
		l.tidy(q)
		if s != nil {
			l.drop(s)
		}
		return reservation{}, err
	}
	if !q.counted {
		l.own(q, s)
	}
	q.reserved++
	q.reBytes += bytes
	q.wide = q.wide || replacement
	l.count(s, bytes, 1)
	l.tidy(q)
	return r, nil
}

// count adds messages, or removes them.
func (l *ledger) count(s *ledgerShare, bytes int64, messages int) {
	l.bytes += bytes
	if s == nil {
		return
	}
	s.bytes += bytes
	s.uses += messages
	l.drop(s)
}

// room returns the limit that a message would exceed.
func (l *ledger) room(q *ledgerQueue, s *ledgerShare, bytes int64, replacement bool) error {
	m := &l.limits
	total := m.TotalBytes
	if !replacement && total < math.MaxInt64 {
		total -= total / deadLetterPart
	}
	switch {
	case q.live+q.reserved >= m.Messages:
		return full(keyMessages, int64(m.Messages))
	case bytes > m.Bytes-q.bytes-q.reBytes:
		return full(keyBytes, m.Bytes)
	case !q.counted && l.counted >= m.Queues:
		return full(keyQueues, int64(m.Queues))
	case !q.counted && s != nil && s.queues >= m.QueuesPerUser:
		return full(keyQueuesPerUser, int64(m.QueuesPerUser))
	case s != nil && bytes > m.BytesPerUser-s.bytes:
		return full(keyBytesPerUser, m.BytesPerUser)
	case bytes > total-l.bytes:
		return fullTotal(m.TotalBytes, replacement)
	}
	return nil
}

// cancelAll gives the room of messages back that were not stored.
func (l *ledger) cancelAll(list []reservation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range list {
		l.cancel(r)
	}
}

func (l *ledger) cancel(r reservation) {
	q := r.queue
	if r.epoch != l.epoch {
		return
	}
	q.reserved--
	q.reBytes -= int64(r.size)
	l.count(r.share, -int64(r.size), -1)
	l.arrived(q)
	l.tidy(q)
}

// store says which sequences the messages got.
func (l *ledger) store(list []reservation, first uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now().UnixMilli()
	for i, r := range list {
		q := r.queue
		if r.epoch != l.epoch {
			continue
		}
		q.reserved--
		q.reBytes -= int64(r.size)
		sequence := first + uint64(i) //nolint:gosec // an index
		if _, gone := q.early[sequence]; gone {
			delete(q.early, sequence)
			l.count(r.share, -int64(r.size), -1)
		} else {
			l.insert(q, ledgerEntry{sequence: sequence, share: r.share, stored: now, size: r.size}, r.expires)
		}
		l.arrived(q)
		l.tidy(q)
	}
}

// arrived forgets early removals when no answer is awaited any more.
func (l *ledger) arrived(q *ledgerQueue) {
	if q.reserved == 0 {
		q.early = nil
	}
}

// load counts a message that was found in the stream. It reports false if it is
// known.
func (l *ledger) load(h payloadHead, sequence uint64, stored int64, replacement bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queue(h.queue)
	if _, known := q.find(sequence); known || q.reserved > 0 {
		return false
	}
	s := l.share(h.share)
	q.wide = q.wide || replacement
	l.count(s, int64(h.size), 1)
	l.insert(q, ledgerEntry{sequence: sequence, share: s, stored: stored, size: uint32(h.size)}, h.expires) //nolint:gosec // bounded by parsePayloadHead
	l.tidy(q)
	return true
}

// remove counts a message as removed, and reports whether it was there.
func (l *ledger) remove(q *ledgerQueue, sequence uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.removeLocked(q, sequence)
}

func (l *ledger) removeLocked(q *ledgerQueue, sequence uint64) bool {
	at, found := q.find(sequence)
	if !found {
		if q.reserved == 0 {
			return false
		}
		if q.early == nil {
			q.early = make(map[uint64]struct{})
		}
		q.early[sequence] = struct{}{}
		return true
	}
	e := &q.entries[at]
	e.removed = true
	if e.expires {
		l.expiring--
	}
	q.live--
	q.bytes -= int64(e.size)
	l.count(e.share, -int64(e.size), -1)
	q.compact()
	l.tidy(q)
	if len(l.due) > 1024+2*l.expiring {
		l.due.compact()
	}
	return true
}

// crowded reports whether so many messages are in the queue that the engine must
// have removed what the ledger has, before it can take the next ones.
func (l *ledger) crowded(q *ledgerQueue) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return q.live+q.reserved+q.ghosts >= l.limits.Messages/2
}

// haunt counts messages that the engine may not have removed yet; exorcise ends
// that.
func (l *ledger) haunt(q *ledgerQueue, n int) {
	l.mu.Lock()
	q.ghosts += n
	l.mu.Unlock()
}

func (l *ledger) exorcise(q *ledgerQueue, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q.ghosts = max(0, q.ghosts-n)
	l.tidy(q)
	l.wake()
}

func (l *ledger) wake() {
	if l.settled != nil {
		close(l.settled)
		l.settled = nil
	}
}

// haunted returns a channel that is closed when the engine may have room for the
// message, or nil if it has it.
func (l *ledger) haunted(q *ledgerQueue) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.ghosts == 0 || q.live+q.reserved+q.ghosts <= l.limits.Messages {
		return nil
	}
	if l.settled == nil {
		l.settled = make(chan struct{})
	}
	return l.settled
}

// list returns up to limit sequences of a queue after one, ascending. found is
// false if it has no messages.
func (l *ledger) list(name string, after uint64, limit int) (sequences []uint64, found bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queues[name]
	if q == nil || q.live == 0 {
		return nil, false
	}
	if after == math.MaxUint64 {
		return nil, true
	}
	at, _ := q.find(after + 1)
	for _, e := range q.entries[at:] {
		if len(sequences) >= limit {
			break
		}
		if !e.removed {
			sequences = append(sequences, e.sequence)
		}
	}
	return sequences, true
}

// all returns the queues that have messages.
func (l *ledger) all() []broker.StoredQueue {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]broker.StoredQueue, 0, l.counted)
	for _, q := range l.queues {
		if q.live > 0 {
			one := broker.StoredQueue{Name: q.name, Messages: q.live, Bytes: q.bytes}
			if q.owner != nil {
				one.Share = q.owner.name
			}
			for e := range q.all() {
				one.Oldest = moment(e.stored)
				break
			}
			list = append(list, one)
		}
	}
	return list
}

// largest returns the number of messages of the fullest queue.
func (l *ledger) largest() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, q := range l.queues {
		n = max(n, q.live)
	}
	return n
}

// hand records that a message goes to a consumer, and reports whether it, or a
// later one of the queue, went to one before.
func (l *ledger) hand(q *ledgerQueue, sequence uint64) (before bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if sequence <= q.seen {
		return true
	}
	q.seen = sequence
	return false
}

func (l *ledger) handed(q *ledgerQueue, sequence uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return sequence <= q.seen
}

// isWide reports whether the queue has messages under subjects below its own.
func (l *ledger) isWide(q *ledgerQueue) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return q.wide
}

// sequences returns those of the given sequences that exist.
func (l *ledger) sequences(of map[uint64]int) map[uint64]struct{} {
	live := make(map[uint64]struct{}, len(of))
	if len(of) == 0 {
		return live
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range l.queues {
		for e := range q.all() {
			if _, ok := of[e.sequence]; ok {
				live[e.sequence] = struct{}{}
			}
		}
	}
	return live
}
