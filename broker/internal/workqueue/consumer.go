package workqueue

// Receiver is the caller's end of a [Consumer].
type Receiver[M, C any] interface {
	// Offer offers d to the receiver. It returns true if the receiver takes d.
	// It returns false if the receiver can take nothing now, because its outbox
	// is over its mark or it is gone: it must then not keep d, the attempt does
	// not count, and the consumer is parked until [Consumer.Resume]. A Resume
	// called after Offer decided to return false is never lost.
	//
	// c is what the caller passed to the call that led here. Offer runs with
	// the queue's lock held: it must not block, panic, or call into the Store,
	// its consumers or deliveries (other than Message, Redelivered, Attempt).
	Offer(c C, d *Delivery[M, C]) bool
}

// Consumer is a subscription to a queue. The consumers of a queue compete for
// its messages. [Store.Consume] creates it; the caller must close it.
type Consumer[M, C any] struct {
	queue    *queue[M, C]
	prefetch int
	id       uint32
	auto     bool

	// Guarded by the queue's lock.
	started, parked bool
	counted         int             // what it adds to queue.free
	receiver        Receiver[M, C]  // nil once closed, so that a stale handle does not keep a session
	next, prev      *Consumer[M, C] // in the ring of those that are ready
	newer, older    *Consumer[M, C] // among all that are not closed
	first, last     *Delivery[M, C] // unsettled deliveries, in the order of delivery
	held            int             // number of unsettled deliveries
	numbered        uint32          // deliveries so far
	latest          uint32          // number of the latest delivery that it settled
}

// newConsumer adds a consumer to the queue.
func (q *queue[M, C]) newConsumer(r Receiver[M, C], prefetch int, auto bool) *Consumer[M, C] {
	q.consumers++
	q.lastID++
	k := &Consumer[M, C]{queue: q, id: q.lastID, receiver: r, prefetch: prefetch, auto: auto, older: q.newest}
	if k.older != nil {
		k.older.newer = k
	}
	q.newest = k
	return k
}

// end removes a consumer that is being closed. It takes no part any more, and
// still holds its unsettled messages.
func (k *Consumer[M, C]) end() {
	q := k.queue
	k.receiver = nil
	k.leave()
	q.consumers--
	if k.newer != nil {
		k.newer.older = k.older
	} else {
		q.newest = k.older
	}
	if k.older != nil {
		k.older.newer = k.newer
	}
	k.newer, k.older = nil, nil
}

// Start activates the consumer and offers it waiting messages at once. Only the
// first call has an effect.
func (k *Consumer[M, C]) Start(c C) {
	q := k.queue
	q.mu.Lock()
	if !k.started {
		k.started = true
		k.join()
		q.dispatch(c)
	}
	q.finish(c)
}

// Resume ends the pause that began when Offer returned false, and offers
// waiting messages. Without such a pause it does nothing.
func (k *Consumer[M, C]) Resume(c C) {
	q := k.queue
	q.mu.Lock()
	if k.parked {
		k.parked = false
		k.join()
		q.dispatch(c)
	}
	q.finish(c)
}

// Close removes the consumer: after the call it is offered nothing more. Its
// unsettled messages return to their old places in the queue and will be
// delivered to others as redelivered; settling them later has no effect. Only
// the first call has an effect.
//
// A delivery counts as an attempt only if its message may be the reason why the
// consumer died: the oldest unsettled message, which was to be settled next,
// and those older than a message that it did settle, which it had passed over.
// It had probably not processed the others, of which a large prefetch may leave
// many. After its last attempt a message becomes a dead letter.
func (k *Consumer[M, C]) Close(c C) {
	q := k.queue
	q.mu.Lock()
	if k.receiver == nil {
		q.mu.Unlock()
		return
	}
	k.end()
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

// Withdraw is Close for a consumer that looked at its unsettled messages and did
// nothing else: none of the deliveries counts as an attempt.
func (k *Consumer[M, C]) Withdraw(c C) {
	q := k.queue
	q.mu.Lock()
	if k.receiver == nil {
		q.mu.Unlock()
		return
	}
	k.end()
	for _, e := range k.release(k.last) {
		if !q.held(e.message) {
			q.settle(&e)
			continue
		}
		e.attempts--
		e.refusedBy = untouched // others may have had later ones meanwhile
		q.noteExpiry(&e)
		q.waiting.returned.push(e)
	}
	q.dispatch(c)
	q.finish(c)
}

// join adds the consumer to the end of its queue's ring if it can take a
// message.
func (k *Consumer[M, C]) join() {
	if k.next != nil || !k.started || k.parked || k.receiver == nil || k.prefetch > 0 && k.held >= k.prefetch {
		return
	}
	k.counted = k.credit()
	k.queue.free += k.counted
	if head := k.queue.ready; head == nil {
		k.next, k.prev = k, k
		k.queue.ready = k
	} else {
		k.next, k.prev = head, head.prev
		k.prev.next, k.next.prev = k, k
	}
}

// leave removes the consumer from the ring if it is in it.
func (k *Consumer[M, C]) leave() {
	if k.next == nil {
		return
	}
	q := k.queue
	q.free -= k.counted
	switch {
	case k.next == k:
		q.ready = nil
	case q.ready == k:
		q.ready = k.next
	}
	k.prev.next, k.next.prev = k.next, k.prev
	k.next, k.prev = nil, nil
}

// hold adds d, just delivered, to the unsettled deliveries.
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
	k.queue.holds(d.entry.size)
}

// drop ends the delivery d. The consumer may then be able to take another
// message.
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
	d.prev, d.next = nil, nil // a stale handle keeps only its own message
	d.settled = true
	k.held--
	k.queue.unsettled--
	k.queue.holds(-d.entry.size)
	if k.next != nil && k.prefetch > 0 {
		k.counted++
		k.queue.free++
	}
	k.join()
}

// release drops d and all earlier unsettled deliveries, and returns their
// messages.
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
