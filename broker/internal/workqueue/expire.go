package workqueue

// Expiry says what happens to messages with a [Put.Expires].
type Expiry[M any] struct {
	// Now returns the present, in the unit of Put.Expires.
	Now func() int64
	// Expired is called for each message that has expired in a queue, with the
	// number of its deliveries. It returns the dead letter that takes its place,
	// like the function given to [New], or the queue "" to drop the message.
	Expired func(m M, queue string, attempts int) (deadQueue string, dm M, size int)
	// Dropped is called if the queue of dead letters is full, so that the message
	// is dropped.
	Dropped func(m M, queue string, err error)
}

// SetExpiry makes messages expire. Call it before the store is used. The
// functions are called without locks held and must not panic.
func (s *Store[M, C]) SetExpiry(e Expiry[M]) { s.expiry = e }

// past reports whether a message has expired.
func (s *Store[M, C]) past(expires int64) bool { return expires != 0 && s.expiry.Now() >= expires }

// Sweep removes the messages that have expired from all queues. Without it, a
// message expires only when it would be delivered.
func (s *Store[M, C]) Sweep(c C) {
	var found []*queue[M, C]
	for i := range s.shards {
		found = s.shards[i].appendTo(found[:0])
		for _, q := range found {
			q.mu.Lock()
			if q.nextExpiry != 0 && s.past(q.nextExpiry) {
				q.collectExpired()
			}
			q.finish(c)
		}
	}
}

// collectExpired takes the messages that have expired out of the waiting ones.
func (q *queue[M, C]) collectExpired() {
	now := q.store.expiry.Now()
	q.nextExpiry = 0
	var lost uint32 // that they would have reported: the message after them does
	q.waiting.remove(func(e *entry[M]) bool {
		if e.expires != 0 && now >= e.expires {
			lost += e.lost
			q.lapse(e)
			return true
		}
		e.lost, lost = e.lost+lost, 0
		q.noteExpiry(e)
		return false
	})
	if q.own != nil {
		q.own.lost += lost
	}
}

// discard takes the front message out of the waiting ones if it has expired or
// is too old for its backlog, and reports whether it did.
func (q *queue[M, C]) discard() bool {
	switch e := q.waiting.front(); {
	case q.store.past(e.expires):
		lost := e.lost
		q.lapse(e)
		q.waiting.pop()
		q.pass(lost)
	case q.tooOld(e):
		q.dropFront()
	default:
		return false
	}
	return true
}

// lapse handles a message that has expired: finish removes it. In a backlog it
// ends at once, and is no loss.
func (q *queue[M, C]) lapse(e *entry[M]) {
	if q.own == nil {
		q.expired = append(q.expired, *e)
		return
	}
	q.own.Expired()
	q.settle(e)
	q.left(e, 0, false)
}

// noteExpiry records when a waiting message expires. nextExpiry may be too
// early, never too late.
func (q *queue[M, C]) noteExpiry(e *entry[M]) {
	if e.expires != 0 && (q.nextExpiry == 0 || e.expires < q.nextExpiry) {
		q.nextExpiry = e.expires
	}
}

// finish releases the lock after dispatch and removes the messages that were
// found to have expired. Until then they count as stored, so the queue exists.
func (q *queue[M, C]) finish(c C) {
	if len(q.expired) == 0 {
		q.unlock()
		return
	}
	list := q.expired
	q.expired = nil
	q.mu.Unlock()
	for i := range list {
		moved := false
		if o := q.store.outside; o == nil || o.Expired == nil {
			moved = q.expire(c, &list[i])
		} else if q.held(list[i].message) {
			o.Expired(c, list[i].message, q.name, int(list[i].attempts))
		}
		q.mu.Lock()
		if moved { // the dead letter counts in its place
			q.messages--
			q.bytes -= list[i].size
		} else {
			q.settle(&list[i])
		}
		q.left(&list[i], 0, false)
		q.unlock()
	}
}

// expire makes a dead letter of a message that has expired. It reports false if
// the message is dropped.
func (q *queue[M, C]) expire(c C, e *entry[M]) (moved bool) {
	x := &q.store.expiry
	name, m, size := x.Expired(e.message, q.name, int(e.attempts))
	if name == "" {
		return false
	}
	if err := q.store.put(c, Put[M]{Owner: e.owner, Queue: name, Message: m, Size: size}, e.size); err != nil {
		x.Dropped(e.message, q.name, err)
		return false
	}
	return true
}

// Expires returns the [Put.Expires] of the message.
func (d *Delivery[M, C]) Expires() int64 { return d.entry.expires }

// Expire ends the delivery of a message that has expired before its consumer
// came to it: it becomes a dead letter or is dropped. Expire returns false and
// does nothing if the delivery was settled before or its consumer is closed.
func (d *Delivery[M, C]) Expire(c C) bool {
	k, q := d.consumer, d.consumer.queue
	if !d.open() {
		return false
	}
	k.drop(d)
	q.expired = append(q.expired, d.entry)
	q.dispatch(c)
	q.finish(c)
	return true
}
