package workqueue

// Receiver is the caller's end of a [Consumer].
type Receiver[M, C any] interface {
	// Offer gives d to the receiver. True means that it has taken it. False means that it takes none now, because its
	// outbox is over its mark or it is gone: it must not keep d, the attempt does not count, and the consumer is parked
	// until [Consumer.Resume]. A Resume that is called after Offer decided to say no is never lost.
	//
	// c is what the caller passed to the call that led here. Offer runs with the queue's lock held: it must not
	// block, call into the Store, its consumers or deliveries (other than Message, Redelivered, Attempt), or panic.
	Offer(c C, d *Delivery[M, C]) bool
}

// Consumer is one of those who compete for the messages of a queue: a subscription. [Store.Consume] makes it; it must
// be closed in the end.
type Consumer[M, C any] struct {
	queue    *queue[M, C]
	id       uint32
	prefetch int
	auto     bool

	// Guarded by the queue's lock.
	receiver    Receiver[M, C] // nil once closed, so that a stale handle keeps no session
	next, prev  *Consumer[M, C]
	first, last *Delivery[M, C] // what it holds unsettled, in the order of delivery
	held        int             // how many those are
	numbered    uint32          // deliveries so far
	latest      uint32          // number of the latest delivery that it answered
	started     bool
	parked      bool
}

// Start lets the consumer take part; messages that wait are offered at once. Only the first call has an effect.
func (k *Consumer[M, C]) Start(c C) {
	q := k.queue
	q.mu.Lock()
	if !k.started {
		k.started = true
		k.join()
		q.dispatch(c)
	}
	q.mu.Unlock()
}

// Resume ends the pause that an Offer which returned false began, and offers what waits. Without such a pause it does
// nothing.
func (k *Consumer[M, C]) Resume(c C) {
	q := k.queue
	q.mu.Lock()
	if k.parked {
		k.parked = false
		k.join()
		q.dispatch(c)
	}
	q.mu.Unlock()
}

// Close takes the consumer out: it is offered nothing more once Close has been called. Everything it holds unsettled
// goes back to its old place in the queue, to be delivered to others as redelivered; settling it later has no effect.
// Only the first call does anything.
//
// The delivery counts as an attempt, after the last of which a message becomes a dead letter, for what the consumer may
// have died of: the oldest of them, which it had to answer next, and those older than one that it did answer, which it
// had passed over. It had probably not looked at the others, which a prefetch may make many.
func (k *Consumer[M, C]) Close(c C) {
	q := k.queue
	q.mu.Lock()
	if k.receiver == nil {
		q.mu.Unlock()
		return
	}
	k.receiver = nil
	k.leave()
	q.consumers--
	for d := k.first; d != nil; d = d.next {
		if d != k.first && int32(d.number-k.latest) > 0 {
			d.entry.attempts--
			d.entry.refusedBy = untouched
		} else {
			d.entry.refusedBy = 0
		}
	}
	q.takeBack(c, k.release(k.last))
}

// answered notes that the consumer has settled d itself.
func (k *Consumer[M, C]) answered(d *Delivery[M, C]) {
	if int32(d.number-k.latest) > 0 {
		k.latest = d.number
	}
}

// join puts the consumer at the back of the ring of its queue if it can take a message.
func (k *Consumer[M, C]) join() {
	if k.next != nil || !k.started || k.parked || k.receiver == nil || k.prefetch > 0 && k.held >= k.prefetch {
		return
	}
	if head := k.queue.ready; head == nil {
		k.next, k.prev = k, k
		k.queue.ready = k
	} else {
		k.next, k.prev = head, head.prev
		k.prev.next, k.next.prev = k, k
	}
}

// leave takes the consumer out of the ring if it is in it.
func (k *Consumer[M, C]) leave() {
	if k.next == nil {
		return
	}
	q := k.queue
	switch {
	case k.next == k:
		q.ready = nil
	case q.ready == k:
		q.ready = k.next
	}
	k.prev.next, k.next.prev = k.next, k.prev
	k.next, k.prev = nil, nil
}

// hold adds d, just delivered, to what the consumer has to settle.
func (k *Consumer[M, C]) hold(d *Delivery[M, C]) {
	if d.prev = k.last; k.last == nil {
		k.first = d
	} else {
		k.last.next = d
	}
	k.last = d
	k.numbered++
	d.number = k.numbered
	k.held++
	k.queue.unsettled++
}

// drop ends d for the consumer, which may have room for another message now.
func (k *Consumer[M, C]) drop(d *Delivery[M, C]) {
	if d.prev == nil {
		k.first = d.next
	} else {
		d.prev.next = d.next
	}
	if d.next == nil {
		k.last = d.prev
	} else {
		d.next.prev = d.prev
	}
	d.prev, d.next = nil, nil // a stale handle keeps nothing but its own message
	d.settled = true
	k.held--
	k.queue.unsettled--
	k.join()
}

// release drops all that was delivered up to d, and returns it.
func (k *Consumer[M, C]) release(d *Delivery[M, C]) []entry[M] {
	if d == nil {
		return nil
	}
	var es []entry[M]
	for !d.settled {
		es = append(es, k.first.entry)
		k.drop(k.first)
	}
	return es
}
