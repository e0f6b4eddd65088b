package broker

import (
	"errors"
	"math"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/schedule"
)

// memoryDelays keeps delayed messages in memory. They are lost with the broker.
type memoryDelays struct {
	b *Broker
	*schedule.Schedule[delayOwner, *postponed]
	alarm *schedule.Alarm
}

func newMemoryDelays(b *Broker) *memoryDelays {
	q := &b.o.Queues
	l := &memoryDelays{b: b, Schedule: schedule.New[delayOwner, *postponed](schedule.Limits{
		Items: q.Delayed, ItemsPerOwner: q.DelayedPerUser, Bytes: q.DelayedBytes, BytesPerOwner: q.DelayedBytesPerUser,
	})}
	l.alarm = schedule.NewAlarm(l.Next, moment, func() bool { return b.spawn(l.run) })
	return l
}

// run delivers what is due.
func (l *memoryDelays) run() {
	deliverAllDue(l.b, func(n int) []memoryDue {
		var due []memoryDue
		for _, it := range l.Due(moment(), n) {
			due = append(due, memoryDue{l, it})
		}
		return due
	})
	l.alarm.Done()
}

// Put implements delays. The messages have their place from here on, and wait
// when those of the queues are stored.
func (l *memoryDelays) Put(bt *batch, items []*delayedItem, puts []queuePut) (*completion, error) {
	if err := l.Reserve(items...); err != nil {
		return nil, delayRefused(err)
	}
	var later *completion
	if len(puts) > 0 {
		var err error
		if later, err = l.b.queues.Commit(bt, puts); err != nil {
			l.remove(items)
			return nil, queueFull(err)
		}
	}
	if later == nil {
		l.wait(items...)
		return nil, nil
	}
	stored := new(completion)
	later.whenEnded(func(err error) {
		if err == nil {
			l.wait(items...)
		} else {
			l.remove(items)
		}
		stored.end(err)
	})
	return stored, nil
}

// wait has messages wait for which there is room.
func (l *memoryDelays) wait(items ...*delayedItem) {
	for _, it := range items {
		l.Wait(it, it.Due)
	}
	l.alarm.Set()
}

// remove removes messages that will not wait after all.
func (l *memoryDelays) remove(items []*delayedItem) {
	for _, it := range items {
		l.Remove(it)
	}
}

// Cancel implements delays.
func (l *memoryDelays) Cancel(id string) error {
	if !l.Schedule.Cancel(id) {
		return ErrNotDelayed
	}
	return nil
}

// All implements delays.
func (l *memoryDelays) All() []DelayedMessage {
	items := l.Schedule.All()
	all := make([]DelayedMessage, len(items))
	for i := range items {
		it := &items[i]
		all[i] = DelayedMessage{
			ID: it.ID, Destination: it.Value.m.Destination, User: it.Value.user,
			Due: time.UnixMilli(it.Due), Refused: int(it.Value.refused.Load()), Bytes: it.Size,
		}
	}
	return all
}

func (l *memoryDelays) close() { l.alarm.Close() }

// logKept logs the delayed messages that are lost with the broker.
func (l *memoryDelays) logKept() {
	items, bytes := l.Stats()
	if items == 0 {
		return
	}
	first := int64(math.MaxInt64)
	for _, it := range l.Schedule.All() {
		first = min(first, it.Due)
	}
	l.b.o.Logger.Warn("delayed messages discarded: they were in memory only", "messages", items, "bytes", bytes, "first_due", time.UnixMilli(first))
}

// memoryDue is a message of the schedule that is due.
type memoryDue struct {
	l  *memoryDelays
	it *delayedItem
}

func (d memoryDue) content() (string, *postponed) { return d.it.ID, d.it.Value }

func (d memoryDue) waits(bool) bool { return false }

// move implements dueMessage. The message counts against the share of its
// sender, who may have gone.
func (d memoryDue) move(queue string, m *Message, expires int64, bt *batch, then func(error, *batch)) {
	b, it := d.l.b, d.it
	put := queuePut{queue: queue, message: m, size: messageSize(m), expires: expires}
	if it.Owner.shares {
		one := b.quotas.use(it.Owner.quotaKey)
		defer b.quotas.leave(one)
		put.owner, put.share = &one.queueOwner, it.Owner.share()
	}
	if b.o.QueueStore != nil {
		put.once = onceKey("", queue, headerDelay+" "+it.ID) // it may be put again
	}
	end := func(err error, bt *batch) {
		if err == nil {
			d.remove()
		}
		then(err, bt)
	}
	later, err := b.queues.Put(bt, put)
	if err != nil || later == nil {
		end(err, bt)
		return
	}
	later.whenEnded(func(err error) {
		if errors.Is(err, ErrDuplicate) {
			err = nil // the outcome of an earlier put was unknown
		}
		bt := b.newBatch()
		end(err, bt)
		bt.flushLater()
	})
}

func (d memoryDue) remove() { d.l.Remove(d.it) }

func (d memoryDue) again(pause time.Duration) {
	d.l.Wait(d.it, moment()+pause.Milliseconds())
	d.l.alarm.Set()
}
