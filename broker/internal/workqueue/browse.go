package workqueue

import (
	"cmp"
	"slices"
	"sort"
	"time"
)

// Item describes a stored message.
type Item[M any] struct {
	Message     M
	Place       uint64 // in the order of the queue, never used again by a queue of this name
	Size        int
	Expires     int64     // in the unit of [Expiry.Now], 0 = never
	Put         time.Time // zero if it is not known
	Attempts    int       // failed deliveries
	Redelivered bool      // a consumer may have seen it before
	Held        bool      // by a consumer, which has not settled it
}

func (s *Store[M, C]) item(e *entry[M]) Item[M] {
	return Item[M]{
		Message: e.message, Place: e.seq, Size: int(e.size), Expires: e.expires, Put: s.at(e.since),
		Attempts: int(e.attempts), Redelivered: e.attempts > 0 || e.refusedBy != 0,
	}
}

// Browse returns at most limit messages of a queue with a place greater than
// after, the oldest first, without changing anything. What consumers hold is
// among them. found is false if there is no such queue.
func (s *Store[M, C]) Browse(name string, after uint64, limit int) (list []Item[M], found bool) {
	q := s.find(name)
	if q == nil {
		return nil, false
	}
	if list, found = q.browse(after, limit); !found {
		return nil, false
	}
	slices.SortFunc(list, func(a, b Item[M]) int { return cmp.Compare(a.Place, b.Place) })
	return slices.Clip(list[:min(limit, len(list))]), true
}

// browse returns the messages of Browse, perhaps more of them, in no order.
func (q *queue[M, C]) browse(after uint64, limit int) (list []Item[M], found bool) {
	s := q.store
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.exists() {
		return nil, false
	}
	for i := range q.waiting.returned {
		if e := &q.waiting.returned[i]; e.seq > after {
			list = append(list, s.item(e))
		}
	}
	q.eachHeld(func(it Item[M]) {
		if it.Place > after {
			list = append(list, it)
		}
	})
	f := &q.waiting.fresh
	first := sort.Search(f.n, func(i int) bool { return f.at(i).seq > after })
	for i := first; i < f.n && i-first < limit; i++ {
		list = append(list, s.item(f.at(i)))
	}
	return list, true
}

// eachHeld calls f for each message that a consumer holds. The caller holds the
// lock.
func (q *queue[M, C]) eachHeld(f func(Item[M])) {
	for k := q.newest; k != nil; k = k.older {
		for d := k.first; d != nil; d = d.next {
			it := q.store.item(&d.entry)
			it.Attempts--
			it.Redelivered = it.Attempts > 0 || d.entry.refusedBy != 0
			it.Held = true
			f(it)
		}
	}
}

// exists reports whether the queue is one for its users. The caller holds its
// lock.
func (q *queue[M, C]) exists() bool { return q.messages > 0 || q.consumers > 0 }

// Remove removes the waiting messages for which pick returns true, and returns
// them. pick is called with the lock of the queue held, for the oldest message
// first; then held, if it is not nil, for those that consumers hold, which stay.
// found is false if there is no such queue.
func (s *Store[M, C]) Remove(name string, pick func(Item[M]) bool, held func(Item[M])) (removed []M, found bool) {
	q := s.find(name)
	if q == nil {
		return nil, false
	}
	q.mu.Lock()
	found = q.exists()
	q.waiting.remove(func(e *entry[M]) bool {
		if !pick(s.item(e)) {
			return false
		}
		removed = append(removed, e.message)
		q.settle(e)
		return true
	})
	if held != nil {
		q.eachHeld(held)
	}
	q.unlock()
	return removed, found
}
