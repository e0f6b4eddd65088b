package broker

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What the store may hand over in advance, for one queue.
const (
	mostWanted      = 1000
	mostWantedBytes = 8 << 20
)

// returnAfter is how long messages wait here while no consumer here can take any,
// until they are given back for others.
const returnAfter = time.Second

// Pauses before a queue is opened again that the store could not read: the first,
// which doubles, and the longest.
const (
	firstReopen = 50 * time.Millisecond
	lastReopen  = 5 * time.Second
)

// storedQueue is a queue of the store that this broker reads, because it has
// consumers here.
type storedQueue struct {
	s     *storedQueues
	name  string
	share string // of the consumer that made the queue, "" if a message did

	// Guarded by storedQueues.mu.
	consumers int
	replacing int           // messages that the store is replacing
	failing   bool          // the store could not read it, and was not opened since
	pause     time.Duration // before it is opened again
	opened    time.Time
	timer     *time.Timer

	reader atomic.Pointer[storedReader] // nil while the store cannot read it

	dirty      atomic.Bool // what can be taken may have changed
	pumping    sync.Mutex  // held while the store is asked for messages
	asked      int         // messages that it may still hand over
	askedBytes int64
	stuck      time.Time // since when something waits and nobody here takes any
	backlog    int       // how many wait
	timed      bool      // giveBack will be called
}

// storedReader is one opening of a queue. What it handed over can be settled
// until it is closed.
type storedReader struct {
	q      *storedQueue
	reader QueueReader
	closed atomic.Bool
	unsure atomic.Bool // there were acknowledgements that nobody confirmed
}

// connect opens the queue. The caller holds storedQueues.mu.
func (q *storedQueue) connect() error {
	r := &storedReader{q: q}
	reader, err := q.s.store.Open(q.name, r)
	if err != nil {
		return err
	}
	r.reader = reader
	q.opened = time.Now()
	q.pumping.Lock()
	q.asked, q.askedBytes = 0, 0
	q.reader.Store(r)
	q.pumping.Unlock()
	return nil
}

// Messages implements QueueFeed.
func (r *storedReader) Messages(list []StoredMessage) {
	q := r.q
	fed := make([]storedFed, len(list))
	var bytes int64
	for i := range list {
		m := &list[i]
		fed[i] = storedFed{
			Message: storedItem{m.Message, r, m.Sequence, m.Share},
			Place:   m.Sequence, Size: m.Size, Attempts: m.Attempts, Redelivered: m.Redelivered,
		}
		if !m.Expires.IsZero() {
			fed[i].Expires = m.Expires.UnixMilli()
		}
		bytes += int64(m.Size)
	}
	bt := q.s.b.newBatch()
	q.s.window.Feed(bt, q.name, fed)
	bt.flushLater()
	q.pumping.Lock()
	if q.reader.Load() == r {
		q.asked = max(0, q.asked-len(list))
		q.askedBytes = max(0, q.askedBytes-bytes)
	}
	q.pumping.Unlock()
	q.pump()
}

// Failed implements QueueFeed: the consumers stay, and the queue is opened again
// after a pause.
func (r *storedReader) Failed(err error) {
	q, s := r.q, r.q.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.closed.Swap(true) {
		return
	}
	q.reader.CompareAndSwap(r, nil)
	s.window.TakeWaiting(q.name) // it is with the store again
	if q.consumers == 0 {
		s.stopIdle(q)
		return
	}
	if time.Since(q.opened) > lastReopen {
		q.pause = 0
	}
	s.reopenLater(q, err)
}

// reopenLater opens a queue again after a pause. The caller holds the lock.
func (s *storedQueues) reopenLater(q *storedQueue, err error) {
	if !q.failing {
		q.failing = true
		s.down++
	}
	if !s.failed {
		s.failed = true
		s.b.spawn(func() { // a logger is code of the program
			s.b.o.Logger.Warn("the store of the queues cannot be read: they are opened again after a pause", "queue", q.name, "error", err)
		})
	}
	q.pause = min(max(2*q.pause, firstReopen), lastReopen)
	q.timer = time.AfterFunc(q.pause, func() { s.b.spawn(q.reopen) })
}

func (q *storedQueue) reopen() {
	s := q.s
	s.mu.Lock()
	q.timer = nil
	if s.closed || s.open[q.name] != q || q.reader.Load() != nil {
		s.mu.Unlock()
		return
	}
	if err := q.connect(); err != nil {
		s.reopenLater(q, err)
		s.mu.Unlock()
		return
	}
	s.works(q)
	s.mu.Unlock()
	q.pump()
}

// works records that a queue is no longer failing. The caller holds the lock.
func (s *storedQueues) works(q *storedQueue) {
	if !q.failing {
		return
	}
	q.failing = false
	if s.down--; s.down == 0 && s.failed {
		s.failed = false
		s.b.spawn(func() { s.b.o.Logger.Info("the store of the queues can be read again") })
	}
}

// stopIdle ends the reading of a queue that has no consumer here and nothing to
// replace. What waits returns to the store. The caller holds the lock.
func (s *storedQueues) stopIdle(q *storedQueue) {
	if q.consumers > 0 || q.replacing > 0 || s.open[q.name] != q {
		return
	}
	delete(s.open, q.name)
	s.works(q)
	if q.timer != nil {
		q.timer.Stop()
		q.timer = nil
	}
	r := q.reader.Swap(nil)
	if r == nil || r.closed.Swap(true) {
		return
	}
	r.giveBackWaiting()
	r.reader.Close()
}

// left is called after a consumer has gone.
func (s *storedQueues) left(q *storedQueue) {
	s.mu.Lock()
	q.consumers--
	s.stopIdle(q)
	s.mu.Unlock()
	q.pump()
}

// pump asks the store for what the consumers can take. The caller holds no lock.
func (q *storedQueue) pump() {
	q.dirty.Store(true)
	for q.dirty.Load() && q.pumping.TryLock() {
		q.dirty.Store(false)
		q.ask()
		q.pumping.Unlock()
	}
}

// ask tells the store how much it may hand over. While it may still hand over
// more than half of that, it is not told again.
func (q *storedQueue) ask() {
	r := q.reader.Load()
	if r == nil {
		return
	}
	room := q.s.window.Room(q.name)
	q.notice(room)
	messages := min(max(room.Free-room.Waiting, 0), mostWanted)
	bytes := max(mostWantedBytes-room.Bytes, 0)
	if bytes == 0 {
		messages = 0
	}
	switch enough := q.askedBytes > mostWantedBytes/2; {
	case messages == 0 && q.asked == 0:
		return
	case messages >= q.asked && q.asked > messages/2 && enough:
		return
	}
	q.asked, q.askedBytes = messages, bytes
	r.reader.Want(messages, bytes)
}

func (q *storedQueue) giveBackIn(d time.Duration) {
	if !q.timed {
		q.timed = true
		time.AfterFunc(d, func() { q.s.b.spawn(q.giveBack) })
	}
}

// giveBack returns what waits to the store, where other brokers can take it, if
// no consumer here has taken any for returnAfter.
func (q *storedQueue) giveBack() {
	q.pumping.Lock()
	q.timed = false
	q.notice(q.s.window.Room(q.name))
	if q.stuck.IsZero() {
		q.pumping.Unlock()
		return
	}
	r := q.reader.Load()
	switch left := returnAfter - time.Since(q.stuck); {
	case left > 0:
		q.giveBackIn(left)
	case r != nil:
		q.stuck = time.Time{}
		if q.asked > 0 {
			q.asked, q.askedBytes = 0, 0
			r.reader.Want(0, 0)
		}
		r.giveBackWaiting()
	}
	q.pumping.Unlock()
	q.pump() // somebody may be able to take it by now
}

// giveBackWaiting returns what waits in the window.
func (r *storedReader) giveBackWaiting() {
	var waiting []uint64
	for _, m := range r.q.s.window.TakeWaiting(r.q.name) {
		if m.from == r {
			waiting = append(waiting, m.sequence)
		}
	}
	if len(waiting) > 0 {
		slices.Sort(waiting)
		r.reader.Return(waiting)
	}
}

// ack tells the store that messages are acknowledged. With confirm it returns
// the completion of that.
func (r *storedReader) ack(sequences []uint64, confirm bool) *completion {
	if !confirm {
		if len(sequences) > 0 {
			r.unsure.Store(true)
			if r.closed.Load() {
				r.q.s.b.stats.unknownAcks.Add(1)
			}
			r.reader.Ack(sequences, nil)
		}
		return nil
	}
	later := new(completion)
	r.reader.Ack(sequences, func(err error) {
		if errors.Is(err, ErrNotHeld) {
			r.q.s.b.stats.unknownAcks.Add(int64(len(sequences)))
		}
		later.end(err)
	})
	return later
}
