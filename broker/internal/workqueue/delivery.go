package workqueue

// Delivery is one message in the hands of one consumer, to be settled by Ack or Nack. It is a handle for this one
// delivery: when the message goes out again it gets another, and a settled handle never affects anything.
type Delivery[M, C any] struct {
	entry    entry[M]
	consumer *Consumer[M, C]

	// Guarded by the queue's lock.
	prev, next *Delivery[M, C] // the consumer's other unsettled deliveries
	number     uint32          // counts the consumer's deliveries
	settled    bool
}

// Message is what was put. It stays available after the delivery was settled.
func (d *Delivery[M, C]) Message() M { return d.entry.message }

// Redelivered tells whether the message was delivered before (the redelivered header).
func (d *Delivery[M, C]) Redelivered() bool { return d.entry.attempts > 1 || d.entry.refusedBy != 0 }

// Attempt counts the deliveries of the message, this one included: 1 for the first. One that ended because its consumer
// went away before it came to the message does not count, see [Consumer.Close].
func (d *Delivery[M, C]) Attempt() int { return int(d.entry.attempts) }

// Ack settles the delivery: the message is done and leaves the store. A consumer that had reached its prefetch is
// offered the next. It returns false, and does nothing, if the delivery was settled before or its consumer was closed:
// a late ACK is a normal race.
func (d *Delivery[M, C]) Ack(c C) bool {
	k, q := d.consumer, d.consumer.queue
	q.mu.Lock()
	if d.settled {
		q.mu.Unlock()
		return false
	}
	k.answered(d)
	k.drop(d)
	q.settle(&d.entry)
	q.dispatch(c)
	q.mu.Unlock() // k is still there, so the queue cannot have become empty
	return true
}

// AckThrough is Ack for the delivery and all that were delivered to the same consumer before it: the cumulative ACK of
// STOMP's ack:client. It returns how many it settled, none if the delivery itself was settled before.
func (d *Delivery[M, C]) AckThrough(c C) int {
	k, q := d.consumer, d.consumer.queue
	q.mu.Lock()
	if d.settled {
		q.mu.Unlock()
		return 0
	}
	k.answered(d)
	n := 0
	for ; !d.settled; n++ {
		q.settle(&k.first.entry)
		k.drop(k.first)
	}
	q.dispatch(c)
	q.mu.Unlock()
	return n
}

// Nack refuses the delivery: the message takes its old place in the queue and is offered again, to another consumer
// than this one if another can take it now. After [Limits.Attempts] deliveries it becomes a dead letter instead. It
// returns false, and does nothing, if the delivery was settled before or its consumer was closed.
func (d *Delivery[M, C]) Nack(c C) bool {
	k, q := d.consumer, d.consumer.queue
	q.mu.Lock()
	if d.settled {
		q.mu.Unlock()
		return false
	}
	k.answered(d)
	k.drop(d)
	e := d.entry
	e.refusedBy = k.id
	q.takeBack(c, []entry[M]{e})
	return true
}

// NackThrough is Nack for the delivery and all that were delivered to the same consumer before it (STOMP's ack:client).
// It returns how many it settled, none if the delivery itself was settled before.
func (d *Delivery[M, C]) NackThrough(c C) int {
	k, q := d.consumer, d.consumer.queue
	q.mu.Lock()
	if d.settled {
		q.mu.Unlock()
		return 0
	}
	k.answered(d)
	es := k.release(d)
	for i := range es {
		es[i].refusedBy = k.id
	}
	n := len(es)
	q.takeBack(c, es)
	return n
}
