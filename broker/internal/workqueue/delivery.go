package workqueue

// Delivery is the delivery of one message to one consumer, which settles it
// with Ack or Nack. A redelivery creates a new Delivery. A settled Delivery has
// no further effect.
type Delivery[M, C any] struct {
	entry    entry[M]
	consumer *Consumer[M, C]

	// Guarded by the queue's lock.
	prev, next *Delivery[M, C] // the consumer's other unsettled deliveries
	number     uint32          // sequence number among the consumer's deliveries
	settled    bool
}

// Message returns the message passed to Put. It remains available after the
// delivery is settled.
func (d *Delivery[M, C]) Message() M { return d.entry.message }

// Redelivered reports whether the message was delivered before (the redelivered
// header).
func (d *Delivery[M, C]) Redelivered() bool { return d.entry.attempts > 1 || d.entry.refusedBy != 0 }

// Attempt returns the number of deliveries of the message so far, including
// this one: 1 for the first. A delivery does not count if its consumer closed
// before it came to the message; see [Consumer.Close].
func (d *Delivery[M, C]) Attempt() int { return int(d.entry.attempts) }

// open locks the queue for the consumer's answer to d. It returns false, without
// the lock, if d is settled.
func (d *Delivery[M, C]) open() bool {
	k := d.consumer
	k.queue.mu.Lock()
	if d.settled {
		k.queue.mu.Unlock()
		return false
	}
	if int32(d.number-k.latest) > 0 {
		k.latest = d.number
	}
	return true
}

// Ack settles the delivery and removes the message from the store. If the
// consumer had reached its prefetch, it is offered the next message. Ack
// returns false and does nothing if the delivery was settled before or its
// consumer is closed: a late ACK is a normal race.
func (d *Delivery[M, C]) Ack(c C) bool {
	k, q := d.consumer, d.consumer.queue
	if !d.open() {
		return false
	}
	k.drop(d)
	q.settle(&d.entry)
	q.left(&d.entry, d.entry.lost, false)
	q.dispatch(c)
	q.finish(c)
	return true
}

// AckThrough settles the delivery and all earlier ones to the same consumer:
// the cumulative ACK of STOMP's ack:client. It returns how many it settled, 0
// if the delivery itself was settled before.
func (d *Delivery[M, C]) AckThrough(c C) int { return d.AckEach(c, nil) }

// AckEach is AckThrough that calls each, if it is not nil, for the messages that
// it settles, the oldest delivery first, with the lock of the queue held.
func (d *Delivery[M, C]) AckEach(c C, each func(M)) int {
	k, q := d.consumer, d.consumer.queue
	if !d.open() {
		return 0
	}
	n := 0
	for ; !d.settled; n++ {
		if each != nil {
			each(k.first.entry.message)
		}
		q.settle(&k.first.entry)
		q.left(&k.first.entry, k.first.entry.lost, false)
		k.drop(k.first)
	}
	q.dispatch(c)
	q.finish(c)
	return n
}

// Nack refuses the delivery: the message returns to its old place in the queue
// and is offered again, preferably to another consumer that can take it now.
// After [Limits.Attempts] deliveries it becomes a dead letter instead. Nack
// returns false and does nothing if the delivery was settled before or its
// consumer is closed.
func (d *Delivery[M, C]) Nack(c C) bool {
	k, q := d.consumer, d.consumer.queue
	if !d.open() {
		return false
	}
	k.drop(d)
	e := d.entry
	e.refusedBy = k.id
	q.takeBack(c, []entry[M]{e})
	return true
}

// NackThrough refuses the delivery and all earlier ones to the same consumer
// (STOMP's ack:client). It returns how many it refused, 0 if the delivery
// itself was settled before.
func (d *Delivery[M, C]) NackThrough(c C) int {
	k, q := d.consumer, d.consumer.queue
	if !d.open() {
		return 0
	}
	es := k.release(d)
	for i := range es {
		es[i].refusedBy = k.id
	}
	n := len(es)
	q.takeBack(c, es)
	return n
}
