package broker

import (
	"errors"
	"fmt"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/workqueue"
)

// keptItem is a message in the list of a stored durable subscription.
type keptItem struct {
	*Message
	list     *keptList
	sequence uint64
}

type (
	keptLists   = workqueue.Store[keptItem, *batch]
	keptBacklog = workqueue.Backlog[keptItem, *batch]
	keptBefore  = workqueue.Restored[keptItem] // from an earlier process
)

// keptList is the list of a stored durable subscription. What waits is in
// memory, as without a store. The saver keeps the position, and the store the
// messages.
type keptList struct {
	b    *Broker
	def  StoredDurable
	work *keptBacklog

	// Guarded by the lock of the saver.
	position position
	version  uint64 // of the position
	saved    uint64 // the version that the store has
	marked   bool   // in the list of the saver
	flying   bool   // a write is on its way
	removed  bool
	waiting  []waitingSave
	settled  []uint64 // that the store learns of when the position is saved
}

// newKeptLists returns what the lists of stored durable subscriptions are in.
func (b *Broker) newKeptLists() *keptLists {
	lists := workqueue.New[keptItem, *batch](queueLimits(b.o.Queues), nil)
	lists.SetExpiry(workqueue.Expiry[keptItem]{Now: moment})
	var outside workqueue.Outside[keptItem, *batch]
	if b.o.Queues.Mode != QueueBroadcast { // else nobody could read them
		outside.Bury = b.buryKept
	}
	lists.SetOutside(outside)
	return lists
}

func (b *Broker) newKeptList(def StoredDurable, t backlogTerms) *keptList {
	l := &keptList{b: b, def: def}
	l.work = b.durables.lists.NewBacklog(workqueue.Terms{
		Name: t.name, Owner: t.owner, Messages: t.messages, Bytes: t.bytes, Age: t.age, Expired: t.expired,
	})
	l.work.Keep(workqueue.Keeper[keptItem]{Gone: l.gone, Attempted: l.attempted})
	return l
}

// gone is told that a message has left the list for good.
func (l *keptList) gone(m keptItem, told int, dropped bool) {
	l.b.durables.saver.settle(l, m.sequence, func(p *position) {
		p.told += int64(told)
		if dropped {
			p.dropped++
		}
	})
}

func (l *keptList) attempted(m keptItem, attempts int) {
	l.b.durables.saver.update(l, func(p *position) {
		if p.tries == nil {
			p.tries = make(map[uint64]int)
		}
		p.tries[m.sequence] = attempts
	})
}

// put adds a message that the store has. The caller has added it to the
// position.
func (l *keptList) put(bt *batch, m *Message, sequence uint64, expires int64) {
	l.work.Put(bt, workqueue.Put[keptItem]{Message: keptItem{m, l, sequence}, Size: messageSize(m), Expires: expires})
}

// Put implements backlog. Messages come by put.
func (l *keptList) Put(*batch, queuePut) {
	panic("broker: a stored list takes no message without a sequence")
}

func (l *keptList) Info() backlogInfo { return backlogInfo(l.work.Stats()) }
func (l *keptList) Expire()           { l.work.Sweep() }
func (l *keptList) Remove()           { l.work.Remove() }

// Consume implements backlog.
func (l *keptList) Consume(sub *subscriber, prefetch int, auto bool) consumer {
	return &keptConsumer{l.work.Consume(&keptReceiver{sub, l}, prefetch, auto), l}
}

// keptReceiver is the subscription of a session that uses a list.
type keptReceiver struct {
	sub  *subscriber
	list *keptList
}

// Offer implements workqueue.Receiver. The caller holds the queue's lock.
func (r *keptReceiver) Offer(bt *batch, d *workqueue.Delivery[keptItem, *batch]) bool {
	if !r.sub.offerWork((*keptDelivery)(d), bt) {
		return false
	}
	r.list.b.durables.saver.gave(r.list, d.Message().sequence)
	return true
}

// keptConsumer is the consumer of a list.
type keptConsumer struct {
	*workqueue.Consumer[keptItem, *batch]
	list *keptList
}

// certain returns the completion of the acknowledgements until now, nil if they
// are certain.
func (k *keptConsumer) certain() *completion { return k.list.b.durables.saver.certain(k.list) }

// keptDelivery is a delivery of a list.
type keptDelivery workqueue.Delivery[keptItem, *batch]

func (d *keptDelivery) work() *workqueue.Delivery[keptItem, *batch] {
	return (*workqueue.Delivery[keptItem, *batch])(d)
}

func (d *keptDelivery) Message() *Message { return d.work().Message().Message }
func (d *keptDelivery) Redelivered() bool { return d.work().Redelivered() }
func (d *keptDelivery) Lost() int         { return d.work().Lost() }
func (d *keptDelivery) Attempt() int      { return d.work().Attempt() }
func (d *keptDelivery) Expires() int64    { return d.work().Expires() }

// Settle implements delivery.
func (d *keptDelivery) Settle(bt *batch, s settlement) *completion {
	w := d.work()
	l := w.Message().list
	switch {
	case s.expired:
		w.Expire(bt)
	case s.ack && s.through:
		w.AckThrough(bt)
	case s.ack:
		w.Ack(bt)
	case s.through:
		w.NackThrough(bt)
	default:
		w.Nack(bt)
	}
	if !s.confirm {
		return nil
	}
	return l.b.durables.saver.certain(l)
}

// buryKept moves a message to the queue of dead letters of its subscription. It
// stays in the store until that queue has it.
func (b *Broker) buryKept(bt *batch, m keptItem, name string, attempts int, back func(*batch)) bool {
	queue, dead, size := deadLetters(b.o.names, deadAttempts)(m.Message, name, attempts)
	if queue == "" {
		return false
	}
	// The same letter is not stored twice if the process ends in between and
	// begins again.
	once := onceKey("", queue, fmt.Sprintf("%s %d", m.list.def.ID, m.sequence))
	put := queuePut{queue: queue, message: dead, size: size, once: once}
	ended := func(err error, bt *batch) {
		if err != nil && !errors.Is(err, ErrDuplicate) {
			back(bt)
			return
		}
		m.list.gone(m, 0, false)
	}
	later, err := b.queues.Put(bt, put)
	if err != nil || later == nil {
		ended(err, bt)
		return true
	}
	later.whenEnded(func(err error) {
		bt := b.newBatch()
		ended(err, bt)
		bt.flushLater()
	})
	return true
}

// use says that a session uses the list, or no longer. It returns the completion
// of that.
func (l *keptList) use(inUse bool, at time.Time) *completion {
	v := l.b.durables.saver
	v.update(l, func(p *position) { p.inUse, p.used = inUse, at })
	return v.certain(l)
}
