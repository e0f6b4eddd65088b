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
	for k := q.newest; k != nil; k = k.older {
		for d := k.first; d != nil; d = d.next {
			if d.entry.seq > after {
				it := s.item(&d.entry)
				it.Attempts--
				it.Redelivered = it.Attempts > 0 || d.entry.refusedBy != 0
				it.Held = true
				list = append(list, it)
			}
		}
	}
	f := &q.waiting.fresh
	first := sort.Search(f.n, func(i int) bool { return f.at(i).seq > after })
	for i := first; i < f.n && i-first < limit; i++ {
		list = append(list, s.item(f.at(i)))
	}
	slices.SortFunc(list, func(a, b Item[M]) int { return cmp.Compare(a.Place, b.Place) })
	return slices.Clip(list[:min(limit, len(list))]), true
}

// exists reports whether the queue is one for its users. The caller holds its
// lock.
func (q *queue[M, C]) exists() bool { return q.messages > 0 || q.consumers > 0 }

// Remove removes the waiting messages for which pick returns true, and returns
// them. pick is called with the lock of the queue held, for the oldest message
// first. found is false if there is no such queue.
func (s *Store[M, C]) Remove(name string, pick func(Item[M]) bool) (removed []M, found bool) {
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
	q.unlock()
	return removed, found
}
