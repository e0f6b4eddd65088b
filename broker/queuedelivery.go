package broker

import (
	"sync/atomic"

	"github.com/hoofbeat/hoofbeat/broker/internal/workqueue"
)

// storedReceiver is the subscription that a consumer of a stored queue is for.
type storedReceiver struct {
	sub  *subscriber
	auto bool
}

// Offer implements workqueue.Receiver. The caller holds the queue's lock.
func (r *storedReceiver) Offer(bt *batch, d *workqueue.Delivery[storedItem, *batch]) bool {
	if !r.sub.offerWork((*storedDelivery)(d), bt) {
		return false
	}
	if r.auto {
		m := d.Message()
		m.from.ack([]uint64{m.sequence}, false)
	}
	return true
}

// storedConsumer is a consumer of a stored queue.
type storedConsumer struct {
	q      *storedQueue
	work   *workqueue.Consumer[storedItem, *batch]
	closed atomic.Bool
}

// Start implements consumer.
func (k *storedConsumer) Start(bt *batch) {
	k.work.Start(bt)
	k.q.pump()
}

// Resume implements consumer.
func (k *storedConsumer) Resume(bt *batch) {
	k.work.Resume(bt)
	k.q.pump()
}

// Close implements consumer.
func (k *storedConsumer) Close(bt *batch) {
	if k.closed.Swap(true) {
		return
	}
	k.work.Close(bt)
	k.q.s.left(k.q)
}

// certain returns the completion of the acknowledgements until now, nil if they
// are certain.
func (k *storedConsumer) certain() *completion {
	r := k.q.reader.Load()
	if r == nil || !r.unsure.Load() {
		return nil
	}
	return r.ack(nil, true)
}

// storedDelivery is a delivery of a stored queue.
type storedDelivery workqueue.Delivery[storedItem, *batch]

func (d *storedDelivery) work() *workqueue.Delivery[storedItem, *batch] {
	return (*workqueue.Delivery[storedItem, *batch])(d)
}

func (d *storedDelivery) Message() *Message { return d.work().Message().Message }
func (d *storedDelivery) Redelivered() bool { return d.work().Redelivered() }
func (d *storedDelivery) Lost() int         { return 0 }
func (d *storedDelivery) Attempt() int      { return d.work().Attempt() }
func (d *storedDelivery) Expires() int64    { return d.work().Expires() }

// Settle implements delivery.
func (d *storedDelivery) Settle(bt *batch, s settlement) (later *completion) {
	w := d.work()
	m := w.Message()
	switch {
	case s.expired:
		w.Expire(bt)
	case s.ack && s.through:
		var list []storedItem
		w.AckEach(bt, func(m storedItem) { list = append(list, m) })
		later = ackItems(list, s.confirm)
	case s.ack:
		if w.Ack(bt) {
			later = m.from.ack([]uint64{m.sequence}, s.confirm)
		}
	default:
		if s.through {
			w.NackThrough(bt)
		} else {
			w.Nack(bt)
		}
		if s.confirm {
			later = m.from.ack(nil, true)
		}
	}
	m.from.q.pump()
	return later
}
