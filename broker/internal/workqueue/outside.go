package workqueue

import "math"

// Outside is what keeps the messages of a [Store] that is only the front of it:
// the store then holds what was handed over to it, by [Store.Feed], until it is
// settled here. The functions must not panic.
type Outside[M, C any] struct {
	// Held reports whether a message is still this store's. Any other one is
	// forgotten when its consumer returns it. It is called with the lock of the
	// queue held. Nil means always.
	Held func(m M) bool
	// Attempted is told the new number of failed deliveries of a message that
	// returns to its queue, before it is offered again. It is called with the
	// lock of the queue held. Nil means that nobody wants to know.
	Attempted func(m M, attempts int)
	// Bury is called for each message that returns after its last attempt, in
	// place of the function given to [New], with no lock held. It returns false
	// if the message returns to its place: its queue has no dead letters. Else
	// the store has forgotten the message; back, called at most once and with no
	// lock held, makes it the last one of the queue again. Calls for the messages
	// of a [Backlog] have its name as the queue.
	Bury func(c C, m M, queue string, attempts int, back func(C)) bool
	// Expired is called for each message that has expired, in place of
	// [Expiry.Expired], with no lock held. The store has forgotten the message.
	// Nil means that Expiry decides.
	Expired func(c C, m M, queue string, attempts int)
}

// SetOutside makes the store the front of something else. Its number of queues
// then has no limit. Call it before the store is used.
func (s *Store[M, C]) SetOutside(o Outside[M, C]) {
	s.outside = &o
	s.bounds.queues = math.MaxInt64
}

// Fed is a message for [Store.Feed].
type Fed[M any] struct {
	Message     M
	Place       uint64 // in the order of the queue: later messages have greater ones
	Size        int
	Expires     int64 // in the unit of [Expiry.Now], 0 = never
	Attempts    int   // failed deliveries
	Redelivered bool  // a consumer may have seen it before
}

// Feed adds messages, each at its place in the order, and delivers what
// consumers can take. No limit applies. Messages that [Outside.Held] denies are
// ignored.
func (s *Store[M, C]) Feed(c C, queue string, list []Fed[M]) {
	q := s.mustOpen(queue)
	for i := range list {
		f := &list[i]
		if !q.held(f.Message) {
			continue
		}
		e := entry[M]{message: f.Message, seq: f.Place, size: int64(max(f.Size, 0)), expires: f.Expires, attempts: int32(min(max(f.Attempts, 0), math.MaxInt32-1))}
		if f.Redelivered {
			e.refusedBy = untouched
		}
		q.count(&e)
		q.noteExpiry(&e)
		if e.seq >= q.lastSeq {
			q.lastSeq = e.seq
			q.waiting.fresh.push(e)
		} else {
			q.waiting.returned.push(e)
		}
	}
	q.dispatch(c)
	q.finish(c)
}

// mustOpen is open without an owner: no limit applies, see SetOutside.
func (s *Store[M, C]) mustOpen(name string) *queue[M, C] {
	q, _ := s.open(name, nil)
	return q
}

// count counts a message whatever the limits are.
func (q *queue[M, C]) count(e *entry[M]) {
	q.messages++
	q.bytes += e.size
	q.store.bytes.Add(e.size)
}

func (q *queue[M, C]) held(m M) bool {
	o := q.store.outside
	return o == nil || o.Held == nil || o.Held(m)
}

// TakeWaiting removes the waiting messages of a queue and returns them, the
// oldest first.
func (s *Store[M, C]) TakeWaiting(queue string) []M {
	q := s.find(queue)
	if q == nil {
		return nil
	}
	q.mu.Lock()
	var list []M
	for q.waiting.len() > 0 {
		e := q.waiting.front()
		list = append(list, e.message)
		q.settle(e)
		q.waiting.pop()
	}
	q.unlock()
	return list
}

// Room is what a queue could take now.
type Room struct {
	Free    int   // messages that its consumers could take; see [UnlimitedCredit]
	Waiting int   // messages that wait
	Bytes   int64 // their sizes, about
}

// UnlimitedCredit is how many messages a consumer without a limit counts as,
// while it takes any.
const UnlimitedCredit = 100

// Room returns what a queue could take now.
func (s *Store[M, C]) Room(queue string) (r Room) {
	q := s.find(queue)
	if q == nil {
		return r
	}
	q.mu.Lock()
	r.Free, r.Waiting = q.free, q.waiting.len()
	if r.Waiting > 0 && q.messages > 0 {
		r.Bytes = int64(float64(q.bytes) / float64(q.messages) * float64(r.Waiting))
	}
	q.mu.Unlock()
	return r
}

func (s *Store[M, C]) find(name string) *queue[M, C] {
	sh := s.shard(name)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.queues[name]
}

// credit is how many messages the consumer can take.
func (k *Consumer[M, C]) credit() int {
	if k.prefetch > 0 {
		return k.prefetch - k.held
	}
	return UnlimitedCredit
}

// forgetOthers settles the messages that are no longer held, and returns the others,
// whose attempts it reports.
func (q *queue[M, C]) forgetOthers(es []entry[M]) []entry[M] {
	o := q.store.outside
	if q.own != nil && q.own.keeper.Attempted != nil {
		for i := range es {
			if e := &es[i]; e.refusedBy != untouched {
				q.own.keeper.Attempted(e.message, int(e.attempts))
			}
		}
	}
	if o == nil {
		return es
	}
	kept := es[:0]
	for i := range es {
		e := &es[i]
		if !q.held(e.message) {
			q.settle(e)
			continue
		}
		if o.Attempted != nil && e.refusedBy != untouched {
			o.Attempted(e.message, int(e.attempts))
		}
		kept = append(kept, *e)
	}
	return kept
}

// back returns the function that makes a message the last one of the queue
// again.
func (q *queue[M, C]) back(e entry[M]) func(C) {
	s, name := q.store, q.name
	return func(c C) {
		q := q
		if q.own != nil {
			q.mu.Lock()
			if q.own.removed || !q.makeRoom(&e) {
				q.own.dropped++
				q.left(&e, 0, true)
				q.unlock()
				return
			}
		} else {
			q = s.mustOpen(name)
			if !q.held(e.message) {
				q.unlock()
				return
			}
			q.count(&e)
		}
		q.pushBack(e)
		q.dispatch(c)
		q.finish(c)
	}
}
