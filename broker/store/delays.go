package store

import (
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/internal/schedule"
)

// A delayed message lies in the stream of the queues, alone under a subject of
// its own, so that a transaction with both kinds is one atomic batch. Until it is
// due it is in memory too.
//
// It moves into its queue by another batch: the message of the queue, and a mark
// below the subject of the delayed one, which the engine accepts only if the
// delayed message is the latest there. So whatever happens, also if several nodes
// do this, one batch succeeds. Then the delayed message and after it the mark are
// deleted; a start finishes that.

// mostDue is how many messages may be handed over and not settled.
const mostDue = 1024

// delays are the delayed messages.
type delays struct {
	q      *Queues
	limits schedule.Limits
	alarm  *schedule.Alarm
	rings  chan struct{} // something is due

	mu      sync.Mutex
	items   *delaySchedule
	of      map[uint64]*delayItem // those that are stored, by sequence
	gone    map[uint64]bool       // were removed, perhaps not in the engine
	readers []*delayReader        // the last one gets what is due
	held    int                   // by all readers
	working bool
}

type (
	delaySchedule = schedule.Schedule[string, *delayed]
	delayItem     = schedule.Item[string, *delayed]
)

// delayed is a delayed message. Its sequence is guarded by delays.mu and 0 until
// it is stored.
type delayed struct {
	put      broker.DelayPut
	sequence uint64
}

func newDelays(q *Queues) *delays {
	l := q.o.Limits.complete()
	d := &delays{
		q: q, rings: make(chan struct{}, 1), gone: make(map[uint64]bool),
		limits: schedule.Limits{Items: l.Delayed, ItemsPerOwner: l.DelayedPerUser, Bytes: l.DelayedBytes, BytesPerOwner: l.DelayedBytesPerUser},
	}
	d.alarm = schedule.NewAlarm(d.next, now, func() bool {
		select {
		case d.rings <- struct{}{}:
		default:
		}
		return true
	})
	d.reset()
	return d
}

func now() int64 { return time.Now().UnixMilli() }

// next returns when the next message can be handed over.
func (d *delays) next() (int64, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.working || len(d.readers) == 0 || d.held >= mostDue {
		return 0, false
	}
	return d.items.Next()
}

// pause stops the alarm while the engine does not work, resume goes on.
func (d *delays) pause() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.working = false
}

func (d *delays) resume() {
	d.mu.Lock()
	d.working = true
	d.mu.Unlock()
	d.alarm.Set()
}

// reset forgets everything but who holds what, and what was removed.
func (d *delays) reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.items = schedule.New[string, *delayed](d.limits)
	d.of = make(map[uint64]*delayItem)
}

// load adds a message that was found in the stream.
func (d *delays) load(sequence uint64, data []byte) error {
	put, err := parseDelay(data)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	it := itemOf(&put)
	it.Value.sequence = sequence
	if !d.items.Restore(it) {
		return broker.ErrDelayedExists
	}
	d.of[sequence] = it
	for _, r := range d.readers {
		if r.held[sequence] {
			d.items.Take(it.ID)
		}
	}
	return nil
}

// forget undoes load, for messages that were moved, and returns those that were
// removed before.
func (d *delays) forget(moved map[uint64]uint64) (removed []uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for sequence := range d.gone {
		if d.of[sequence] != nil {
			removed = append(removed, sequence)
		}
	}
	for sequence := range moved {
		d.drop(sequence)
	}
	for _, sequence := range removed {
		d.drop(sequence)
	}
	clear(d.gone)
	return removed
}

// drop forgets a message. The caller holds the lock.
func (d *delays) drop(sequence uint64) {
	if it := d.of[sequence]; it != nil {
		d.items.Take(it.ID)
		d.items.Remove(it)
		delete(d.of, sequence)
	}
}

func itemOf(p *broker.DelayPut) *delayItem {
	return &delayItem{ID: p.Message.ID, Due: p.Due.UnixMilli(), Owner: p.Share, Size: int64(p.Size), Value: &delayed{put: *p}}
}

// reserve makes room for messages. The functions say what became of them.
func (d *delays) reserve(list []broker.DelayPut) (stored func(first uint64), canceled func(), _ error) {
	items := make([]*delayItem, len(list))
	for i := range list {
		items[i] = itemOf(&list[i])
		items[i].Value.put.Once = ""
	}
	d.mu.Lock()
	in := d.items
	d.mu.Unlock()
	if err := in.Reserve(items...); err != nil {
		return nil, nil, fullDelays(err)
	}
	return func(first uint64) { d.stored(in, items, first) }, func() {
		for _, it := range items {
			in.Remove(it)
		}
	}, nil
}

// stored has messages wait, unless they were read anew meanwhile.
func (d *delays) stored(in *delaySchedule, items []*delayItem, first uint64) {
	d.mu.Lock()
	if in != d.items {
		d.mu.Unlock()
		return
	}
	for i, it := range items {
		it.Value.sequence = first + uint64(i) //nolint:gosec // an index
		d.of[it.Value.sequence] = it
		in.Wait(it, it.Due)
	}
	d.mu.Unlock()
	d.alarm.Set()
}

var delayKeys = map[schedule.Limit]string{
	schedule.LimitItems: "queues.delayed", schedule.LimitItemsPerOwner: "queues.delayed_per_user",
	schedule.LimitBytes: "queues.delayed_bytes", schedule.LimitBytesPerOwner: "queues.delayed_bytes_per_user",
}

func fullDelays(err error) error {
	var full *schedule.FullError
	if !errors.As(err, &full) {
		return broker.ErrDelayedExists
	}
	return &broker.QueueFullError{Key: delayKeys[full.Limit], Limit: full.Max, Text: full.Error()}
}

// run hands over what is due.
func (d *delays) run() {
	for {
		select {
		case <-d.q.ctx.Done():
			d.alarm.Close()
			return
		case <-d.rings:
			for d.hand() {
			}
			d.alarm.Done()
		}
	}
}

// hand hands over some messages, and reports whether there may be more.
func (d *delays) hand() bool {
	d.mu.Lock()
	if !d.working || len(d.readers) == 0 {
		d.mu.Unlock()
		return false
	}
	due := d.items.Due(now(), min(mostDue-d.held, 256))
	r := d.readers[len(d.readers)-1]
	list := make([]broker.StoredDelay, len(due))
	for i, it := range due {
		r.held[it.Value.sequence] = true
		list[i] = broker.StoredDelay{DelayPut: it.Value.put, Sequence: it.Value.sequence}
	}
	d.held += len(due)
	d.mu.Unlock()
	if len(due) > 0 {
		r.feed(list)
	}
	return len(due) > 0
}

// Delay implements [broker.DelayStore].
func (q *Queues) Delay(delayed []broker.DelayPut, list []broker.QueuePut, done func(error)) {
	done = orNothing(done)
	records := 0 // of ids
	if slices.ContainsFunc(delayed, func(p broker.DelayPut) bool { return p.Once != "" }) {
		records = 1
	}
	x, err := q.write(list, len(delayed)+records, writeOptions{})
	if err != nil {
		done(err)
		return
	}
	cancel := func(err error) {
		q.ledger.cancelAll(x.room)
		done(err)
	}
	for i := range delayed {
		p := &delayed[i]
		if q.ids.knows(p.Once, time.Now()) {
			cancel(broker.ErrDuplicate)
			return
		}
		data := appendDelay(make([]byte, 0, delaySize(p)), p)
		if err := q.o.fits(data); err != nil {
			cancel(err)
			return
		}
		x.puts = append(x.puts, put{subject: q.names.delaySubject(p.Message.ID), data: data, once: p.Once, single: true})
		x.bytes += len(data)
	}
	stored, canceled, err := q.delays.reserve(delayed)
	if err != nil {
		cancel(err)
		return
	}
	x.stored, x.canceled = func(first uint64) { stored(first + uint64(len(list))) }, canceled
	x.done = func(err error) {
		if isRefusal(err, codeWrongLast) {
			err = broker.ErrDelayedExists
		}
		done(err)
	}
	q.writer.add(x)
}

// CancelDelay implements [broker.DelayStore].
func (q *Queues) CancelDelay(id string, done func(error)) {
	d := q.delays
	done = orNothing(done)
	if err := q.Err(); err != nil {
		done(q.watcher.unfinished(err))
		return
	}
	d.mu.Lock()
	in := d.items
	it := in.Take(id)
	d.mu.Unlock()
	if it == nil {
		done(broker.ErrNotDelayed)
		return
	}
	q.deleteOne(it.Value.sequence, func(err error) {
		d.mu.Lock()
		same := d.items == in
		if same && (err == nil || isGone(err)) {
			d.drop(it.Value.sequence)
		} else if same {
			in.Wait(it, it.Due)
		}
		d.mu.Unlock()
		switch {
		case isGone(err):
			err = broker.ErrNotDelayed
		case err != nil:
			err = q.watcher.unfinished(err)
			d.alarm.Set()
		}
		done(err)
	})
}

// deleteOne deletes a message of the stream. The error is a *refusal that isGone
// if there is none.
func (q *Queues) deleteOne(sequence uint64, done func(error)) {
	q.control.request("$JS.API.STREAM.MSG.DELETE."+q.names.stream, deleteRequest(sequence), func(m *nats.Msg, err error) {
		if err == nil {
			err = apiAnswer(m, nil)
		}
		done(err)
	})
}

// Delays implements [broker.DelayStore].
func (q *Queues) Delays() iter.Seq[broker.StoredDelay] {
	d := q.delays
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []broker.StoredDelay
	for _, it := range d.items.All() {
		if n := it.Value.sequence; n != 0 {
			m := broker.StoredDelay{DelayPut: it.Value.put, Sequence: n}
			m.Due = time.UnixMilli(it.Due)
			list = append(list, m)
		}
	}
	return slices.Values(list)
}

// DelayStats implements [broker.DelayStore].
func (q *Queues) DelayStats() (messages int, bytes int64) {
	d := q.delays
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.items.Stats()
}
