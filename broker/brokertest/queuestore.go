package brokertest

import (
	"cmp"
	"context"
	"iter"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// QueueStore is a [broker.DelayStore] in memory, for tests. It survives the
// brokers that use it. Its answers come before its methods return; it hands
// messages over on goroutines of its own, for which [QueueStore.Quiet] waits.
type QueueStore struct {
	limits broker.Queues

	mu     sync.Mutex
	moved  sync.Cond // messages were handed over
	queues map[string]*keptQueue
	stored int // queues with messages
	shares map[string]*keptShare
	bytes  int64
	latest uint64 // sequence, of all queues
	once   map[string]time.Time
	given  uint64 // messages for feeds
	taken  uint64 // of these, those that feeds have taken, or that went back
	delays keptDelays
}

type keptShare struct {
	queues int // whose first message was its
	bytes  int64
}

// keptQueue is a queue with messages or readers.
type keptQueue struct {
	name    string
	maker   string // share of its first message
	share   *keptShare
	all     map[uint64]*kept
	waiting []*kept // in the order of their sequences
	bytes   int64
	readers []*keptReader // the one served longest ago first
}

type kept struct {
	broker.StoredMessage
	by *keptReader // who holds it
}

// onceWindow is how long the store knows a message with QueuePut.Once.
const onceWindow = 2 * time.Minute

// NewQueueStore returns an empty store. Of l, the limits Messages, Bytes,
// Queues, TotalBytes, QueuesPerUser and BytesPerUser apply, with the defaults of
// a broker.
func NewQueueStore(l broker.Queues) *QueueStore {
	s := &QueueStore{limits: l, queues: make(map[string]*keptQueue), shares: make(map[string]*keptShare), once: make(map[string]time.Time)}
	s.moved.L = &s.mu
	s.newDelays()
	return s
}

// Append implements [broker.QueueStore].
func (s *QueueStore) Append(list []broker.QueuePut, done func(error)) {
	s.mu.Lock()
	err := s.append(list)
	s.mu.Unlock()
	answer(done, err)
}

func answer(done func(error), err error) {
	if done != nil {
		done(err)
	}
}

func (s *QueueStore) append(list []broker.QueuePut) error {
	now := time.Now()
	for i := range list {
		if s.knows(list[i].Once, now) {
			return broker.ErrDuplicate
		}
	}
	var added []*kept
	for i := range list {
		m, err := s.admit(&list[i], nil)
		if err != nil {
			for _, m := range added {
				s.remove(s.queues[m.Queue], m)
			}
			return err
		}
		added = append(added, m)
	}
	for i, m := range added {
		if id := list[i].Once; id != "" {
			s.once[id] = now
		}
		s.hand(s.queues[m.Queue])
	}
	return nil
}

func (s *QueueStore) queue(name string) *keptQueue {
	q := s.queues[name]
	if q == nil {
		q = &keptQueue{name: name, all: make(map[uint64]*kept)}
		s.queues[name] = q
	}
	return q
}

// forget removes a queue that has neither messages nor readers.
func (s *QueueStore) forget(q *keptQueue) {
	if len(q.all)+len(q.readers) == 0 && s.queues[q.name] == q {
		delete(s.queues, q.name)
	}
}

func (s *QueueStore) share(name string) *keptShare {
	if name == "" {
		return nil // no limit
	}
	if s.shares[name] == nil {
		s.shares[name] = new(keptShare)
	}
	return s.shares[name]
}

// admit stores a message as the newest one of its queue, or returns the limit
// that it would exceed. It takes the place of another one, or of none.
func (s *QueueStore) admit(p *broker.QueuePut, other *kept) (*kept, error) {
	q, share, size := s.queue(p.Queue), s.share(p.Share), int64(max(p.Size, 0))
	defer s.forget(q)
	more := size
	if other != nil {
		more -= int64(other.Size)
	}
	if full := s.full(q, share, size, more); full != nil {
		return nil, full
	}
	if len(q.all) == 0 {
		s.stored++
		q.maker = p.Share
		if q.share = share; share != nil {
			share.queues++
		}
	}
	if share != nil {
		share.bytes += size
	}
	s.latest++
	m := &kept{StoredMessage: broker.StoredMessage{QueuePut: *p, Sequence: s.latest, Put: time.Now()}}
	m.Once, m.Size = "", int(size)
	q.all[m.Sequence] = m
	q.waiting = append(q.waiting, m)
	q.bytes += size
	s.bytes += size
	return m, nil
}

// full returns the limit that forbids a message of a size, which adds more bytes
// to what is stored.
func (s *QueueStore) full(q *keptQueue, share *keptShare, size, more int64) error {
	l := &s.limits
	for _, c := range []struct {
		key              string
		value, byDefault int64
		used, adds       int64
		applies          bool
	}{
		{"queues.queues_per_user", int64(l.QueuesPerUser), 250, share.count(), 1, len(q.all) == 0 && share != nil},
		{"queues.queues", int64(l.Queues), 1000, int64(s.stored), 1, len(q.all) == 0},
		{"queues.messages", int64(l.Messages), 10_000, int64(len(q.all)), 1, true},
		{"queues.bytes", l.Bytes, 64 << 20, q.bytes, size, true},
		{"queues.bytes_per_user", l.BytesPerUser, 256 << 20, share.size(), more, share != nil},
		{"queues.total_bytes", l.TotalBytes, 1 << 30, s.bytes, more, true},
	} {
		most := c.value
		if most == 0 {
			most = c.byDefault
		} else if most < 0 {
			most = math.MaxInt64
		}
		if c.applies && c.adds > most-c.used {
			return &broker.QueueFullError{Key: c.key, Limit: most}
		}
	}
	return nil
}

func (h *keptShare) count() int64 {
	if h == nil {
		return 0
	}
	return int64(h.queues)
}

func (h *keptShare) size() int64 {
	if h == nil {
		return 0
	}
	return h.bytes
}

// remove removes a message.
func (s *QueueStore) remove(q *keptQueue, m *kept) {
	delete(q.all, m.Sequence)
	if i, found := q.place(m.Sequence); found {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	q.bytes -= int64(m.Size)
	s.bytes -= int64(m.Size)
	if share := s.share(m.Share); share != nil {
		share.bytes -= int64(m.Size)
	}
	if len(q.all) == 0 {
		s.stored--
		if q.share != nil {
			q.share.queues--
		}
		s.forget(q)
	}
}

// place returns the index of a message that waits, or where it would be.
func (q *keptQueue) place(sequence uint64) (int, bool) {
	return slices.BinarySearchFunc(q.waiting, sequence, func(m *kept, n uint64) int { return cmp.Compare(m.Sequence, n) })
}

// Replace implements [broker.QueueStore].
func (s *QueueStore) Replace(queue string, sequence uint64, with broker.QueuePut, done func(error)) {
	s.mu.Lock()
	answer(done, s.replace(queue, sequence, with))
}

// replace releases the lock.
func (s *QueueStore) replace(queue string, sequence uint64, with broker.QueuePut) error {
	defer s.mu.Unlock()
	q := s.queues[queue]
	if q == nil || q.all[sequence] == nil {
		return nil // it was replaced before
	}
	old := q.all[sequence]
	m, err := s.admit(&with, old)
	if err != nil {
		return err
	}
	s.remove(q, old)
	s.hand(s.queues[m.Queue])
	return nil
}

// Remove implements [broker.QueueStore].
func (s *QueueStore) Remove(queue string, sequence uint64, done func(error)) {
	s.mu.Lock()
	if q := s.queues[queue]; q != nil {
		if m := q.all[sequence]; m != nil && m.by == nil {
			s.remove(q, m)
		}
	}
	s.mu.Unlock()
	answer(done, nil)
}

// Expired implements [broker.QueueStore].
func (s *QueueStore) Expired(now time.Time, each func(queue string, m broker.StoredMessage)) {
	var found []broker.StoredMessage
	s.mu.Lock()
	for _, q := range s.queues {
		for _, m := range q.waiting {
			if !m.Expires.IsZero() && !now.Before(m.Expires) {
				found = append(found, m.StoredMessage)
			}
		}
	}
	s.mu.Unlock()
	for _, m := range found {
		each(m.Queue, m)
	}
}

// Purge implements [broker.QueueStore].
func (s *QueueStore) Purge(_ context.Context, queue string) (removed int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[queue]
	if q == nil || len(q.all) == 0 {
		return 0, broker.ErrNoQueue
	}
	for len(q.waiting) > 0 {
		s.remove(q, q.waiting[0])
		removed++
	}
	return removed, nil
}

// Browse implements [broker.QueueStore].
func (s *QueueStore) Browse(_ context.Context, queue string, after uint64, limit int) ([]broker.StoredMessage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []broker.StoredMessage
	if q := s.queues[queue]; q != nil {
		for _, m := range q.all {
			if m.Sequence > after {
				list = append(list, m.StoredMessage)
			}
		}
	}
	slices.SortFunc(list, func(a, b broker.StoredMessage) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return list[:min(len(list), limit)], nil
}

// oldest returns when the oldest message was stored.
func (q *keptQueue) oldest() (at time.Time) {
	for _, m := range q.all {
		if at.IsZero() || m.Put.Before(at) {
			at = m.Put
		}
	}
	return at
}

// Queues implements [broker.QueueStore].
func (s *QueueStore) Queues() iter.Seq[broker.StoredQueue] {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []broker.StoredQueue
	for _, q := range s.queues {
		if len(q.all) > 0 {
			list = append(list, broker.StoredQueue{Name: q.name, Messages: len(q.all), Bytes: q.bytes, Share: q.maker, Oldest: q.oldest()})
		}
	}
	return slices.Values(list)
}
