package broker

import (
	"context"
	"time"

	"github.com/hoofbeat/hoofbeat/frames"
)

// Push does what Publish does to a topic, without the writing: the frames are
// appended to the outboxes of all subscribers and then thrown away, so that
// nothing but the push is measured. The lists stay where they are, as in an
// outbox that is being written. The sessions must be idle.
func (b *Broker) Push(m *Message) {
	d, err := b.publishable(context.Background(), m)
	if err != nil {
		panic(err)
	}
	bt, p := b.begin(m, d.Name)
	if d.archive != nil {
		d.archive.deliver(b, d.Destination, p, "", bt)
	} else {
		b.fanOut(d.Destination, p, bt)
	}
	for i, o := range bt.touched {
		o.mu.Lock()
		for _, seg := range o.pending.list {
			o.bytes -= len(seg)
		}
		clear(o.pending.list)
		o.pending.list = o.pending.list[:0]
		o.queued = false
		o.mu.Unlock()
		bt.touched[i] = nil
	}
	bt.touched = bt.touched[:0]
	bt.release()
}

// EncodedForUser publishes to a user and returns how many frames were encoded to
// be shared by the sessions.
func (b *Broker) EncodedForUser(user string, m *Message) int {
	path, err := b.privatePath(context.Background(), m)
	if err != nil {
		panic(err)
	}
	bt, p := b.begin(m, b.userPrefix()+path)
	defer bt.flushLater()
	b.fanOutToUser(user, path, p, bt)
	return p.Distinct()
}

// TailAfterReuse publishes to a topic, has the memory of every outbox that it
// touched used for something else, and returns what the subscribers have in
// common as it was and as it is then.
func (b *Broker) TailAfterReuse(m *Message) (before, after string) {
	d, err := b.publishable(context.Background(), m)
	if err != nil {
		panic(err)
	}
	bt, p := b.begin(m, d.Name)
	b.fanOut(d.Destination, p, bt)
	before = string(p.Tail(frames.V12))
	for _, o := range bt.touched {
		o.mu.Lock()
		kept := append([]byte(nil), o.pending.own...)
		clear(o.pending.own)
		after = string(p.Tail(frames.V12))
		copy(o.pending.own, kept)
		o.mu.Unlock()
		if after != before {
			break
		}
	}
	bt.flushLater()
	return before, after
}

// StuffOutbox makes the outbox of a session look full, and as if it was being
// written to the socket. undo ends that.
func (b *Broker) StuffOutbox(session string) (undo func()) {
	o, n := &b.session(session).out, b.policy.Load().limits.Outbox
	o.mu.Lock()
	o.bytes += n
	o.writing = true
	o.mu.Unlock()
	return func() {
		o.mu.Lock()
		o.bytes -= n
		o.writing = false
		o.mu.Unlock()
		bt := b.newBatch()
		o.flush(bt)
		bt.flush()
		bt.release()
	}
}

// IsOpen reports whether a session has not ended.
func (b *Broker) IsOpen(session string) bool { return b.session(session) != nil }

// HistoryIsFree reports whether no publisher holds the lock of the first history.
func (b *Broker) HistoryIsFree() bool {
	free := b.archives[0].mu.TryLock()
	if free {
		b.archives[0].mu.Unlock()
	}
	return free
}

// ReplayBytes returns the bytes of history that count for the budget.
func (b *Broker) ReplayBytes() int64 {
	b.budget.mu.Lock()
	defer b.budget.mu.Unlock()
	return b.budget.taken
}

// StuckAfter is the time after which clients that do not read give others their
// turn.
const StuckAfter = stuckAfter

// LargeBatches returns how many rounds the flusher of large batches has ended.
func (b *Broker) LargeBatches() uint {
	b.bulk.mu.Lock()
	defer b.bulk.mu.Unlock()
	return b.bulk.round
}

// Do runs f in the reader of a session.
func (b *Broker) Do(session string, f func()) {
	b.session(session).do(func(*batch) { f() })
}

// SlowPatterns returns how many there are, and of how many users or addresses.
func (b *Broker) SlowPatterns() (all, owners int) {
	b.slow.mu.Lock()
	defer b.slow.mu.Unlock()
	return len(b.slow.all), len(b.slow.owners)
}

// SelectorOwners returns how many users or addresses selectors are counted for.
func (b *Broker) SelectorOwners() int {
	b.selectors.owned.mu.Lock()
	defer b.selectors.owned.mu.Unlock()
	return len(b.selectors.owned.owners)
}

// Selectors returns how many are kept.
func (b *Broker) Selectors() int {
	b.selectors.mu.Lock()
	defer b.selectors.mu.Unlock()
	return len(b.selectors.inUse)
}

// Asked looks at the headers of a SEND, and reports whether they ask for more
// than a delivery.
func Asked(list []Header) bool { return asked(list) != 0 }

// SweepDurables removes what is too old at that time.
func (b *Broker) SweepDurables(now time.Time) { b.durables.sweep(now) }
