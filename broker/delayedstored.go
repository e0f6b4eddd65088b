package broker

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// storedDelays leaves delayed messages to a [DelayStore]. They survive the
// broker.
type storedDelays struct {
	b       *Broker
	store   DelayStore
	reader  DelayReader
	started int64 // see times

	mu      sync.Mutex
	due     []StoredDelay // handed over
	running bool
	refused map[uint64]int32 // how often the queue of a message refused it
	closed  bool
}

// startGrace is when, after the start, topics and users get what fell due
// before. Their messages go to who is there, so clients get time to come back.
// Queues get theirs at once.
const startGrace = 10 * time.Second

func newStoredDelays(b *Broker, store DelayStore) *storedDelays {
	return &storedDelays{b: b, store: store, started: moment(), refused: make(map[uint64]int32)}
}

// open begins the deliveries. The broker is complete. What is handed over at once
// waits for the reader.
func (d *storedDelays) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reader = d.store.OpenDelays(d.feed)
}

// feed takes what is due.
func (d *storedDelays) feed(list []StoredDelay) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.due = append(d.due, list...)
	if !d.running {
		d.running = d.b.spawn(d.run)
	}
}

func (d *storedDelays) run() { deliverAllDue(d.b, d.next) }

// next returns at most n messages that were handed over.
func (d *storedDelays) next(n int) []*storedDue {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		d.due = nil
	}
	n = min(n, len(d.due))
	if n == 0 {
		d.due, d.running = nil, false
		return nil
	}
	list := make([]*storedDue, 0, n)
	for i := range d.due[:n] {
		m := &d.due[i]
		x := &postponed{m: m.Message, user: m.User}
		if !m.Expires.IsZero() {
			x.expires = m.Expires.UnixMilli()
		}
		x.refused.Store(d.refused[m.Sequence])
		list = append(list, &storedDue{d: d, sequence: m.Sequence, due: m.Due.UnixMilli(), share: m.Share, x: x})
	}
	clear(d.due[:n])
	d.due = d.due[n:]
	return list
}

// Put implements delays.
func (d *storedDelays) Put(_ *batch, items []*delayedItem, puts []queuePut) (*completion, error) {
	delayed := make([]DelayPut, len(items))
	for i, it := range items {
		x := it.Value
		put := DelayPut{QueuePut: QueuePut{Message: x.m, Size: int(it.Size), Once: x.once}, Due: time.UnixMilli(it.Due), User: x.user}
		if x.expires != 0 {
			put.Expires = time.UnixMilli(x.expires)
		}
		if it.Owner.shares {
			put.Share = it.Owner.share()
		}
		delayed[i] = put
	}
	list := make([]QueuePut, len(puts))
	for i := range puts {
		list[i] = puts[i].stored()
	}
	later := new(completion)
	d.store.Delay(delayed, list, func(err error) {
		if errors.Is(err, ErrDuplicate) && len(delayed)+len(list) > 1 {
			for i := range delayed {
				list = append(list, delayed[i].QueuePut)
			}
			err = duplicateAmong(list, onceOfPut)
		}
		later.end(delayRefused(err))
	})
	return later, nil
}

// Cancel implements delays.
func (d *storedDelays) Cancel(id string) error {
	later := new(completion)
	d.store.CancelDelay(id, later.end)
	patience := time.NewTimer(storePatience)
	defer patience.Stop()
	select {
	case err := <-later.wait():
		return err
	case <-patience.C:
		return errors.New("broker: the store does not answer: the message may be cancelled or not")
	case <-d.b.ctx.Done():
		return ErrClosed
	}
}

// All implements delays.
func (d *storedDelays) All() []DelayedMessage {
	var all []DelayedMessage
	for m := range d.store.Delays() {
		d.mu.Lock()
		refused := d.refused[m.Sequence]
		d.mu.Unlock()
		all = append(all, DelayedMessage{
			ID: m.Message.ID, Destination: m.Message.Destination, User: m.User,
			Due: m.Due, Refused: int(refused), Bytes: int64(m.Size),
		})
	}
	return all
}

// Stats implements delays.
func (d *storedDelays) Stats() (messages int, bytes int64) { return d.store.DelayStats() }

func (d *storedDelays) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.reader.Close()
}

// logKept logs what the store keeps.
func (d *storedDelays) logKept() {
	if messages, bytes := d.Stats(); messages > 0 {
		d.b.o.Logger.Info("delayed messages are kept in the store", "messages", messages, "bytes", bytes)
	}
}

// prune forgets the refusals of messages that were cancelled.
func (d *storedDelays) prune() {
	waiting, _ := d.store.DelayStats()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.refused) <= waiting {
		return
	}
	kept := make(map[uint64]int32)
	for m := range d.store.Delays() {
		if n, ok := d.refused[m.Sequence]; ok {
			kept[m.Sequence] = n
		}
	}
	d.refused = kept
}

// storedDue is a message that the store has handed over.
type storedDue struct {
	d        *storedDelays
	sequence uint64
	due      int64
	share    string
	x        *postponed
}

func (s *storedDue) content() (string, *postponed) { return s.x.m.ID, s.x }

// waits implements dueMessage: what fell due before the broker has started is
// put off if it goes to who is there.
func (s *storedDue) waits(queue bool) bool {
	d := s.d
	if queue || s.due >= d.started {
		return false
	}
	until := d.started + startGrace.Milliseconds()
	if moment() >= until {
		return false
	}
	d.reader.Later(s.sequence, time.UnixMilli(until))
	return true
}

// storePause is the pause before a message is moved again that the store could
// not move.
const storePause = time.Second

// move implements dueMessage.
func (s *storedDue) move(queue string, m *Message, expires int64, _ *batch, then func(error, *batch)) {
	d := s.d
	put := QueuePut{Queue: queue, Message: m, Size: messageSize(m), Share: s.share}
	if expires != 0 {
		put.Expires = time.UnixMilli(expires)
	}
	var answered atomic.Bool
	d.reader.Move(s.sequence, put, func(err error) {
		if answered.Swap(true) {
			return
		}
		if errors.Is(err, ErrNotHeld) {
			err = nil // the outcome of an earlier move was unknown
		}
		switch {
		case err == nil:
			s.forget()
		case !isFull(err): // the queue has not refused it
			d.b.warn("a delayed message cannot be put into its queue now", source{what: queue}, "queue", queue, "id", m.ID, "error", err)
			d.reader.Later(s.sequence, time.UnixMilli(moment()+storePause.Milliseconds()))
			return
		}
		bt := d.b.newBatch()
		then(err, bt)
		bt.flushLater()
	})
}

// forget forgets how often the message was refused.
func (s *storedDue) forget() {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	delete(s.d.refused, s.sequence)
}

func (s *storedDue) remove() {
	s.forget()
	s.d.reader.Remove(s.sequence)
}

func (s *storedDue) again(pause time.Duration) {
	d := s.d
	if n := s.x.refused.Load(); n > 0 {
		d.mu.Lock()
		d.refused[s.sequence] = n
		d.mu.Unlock()
		d.prune()
	}
	d.reader.Later(s.sequence, time.UnixMilli(moment()+pause.Milliseconds()))
}
