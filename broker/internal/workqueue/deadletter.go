package workqueue

// takeBack returns messages from a consumer to the queue. Those that had their
// last attempt become dead letters. The caller has the queue's lock; takeBack
// releases it.
//
// It creates and puts dead letters without holding a lock, so that two queues
// that feed each other cannot deadlock. Meanwhile no consumer can get any of
// es, so that the messages return in one step and in order. They still count,
// so that there is room for them and the queue continues to exist.
func (q *queue[M, C]) takeBack(c C, es []entry[M]) {
	var stuck []entry[M]
	if q.abandoned(es) {
		es = nil
	}
	es = q.forgetOthers(es)
	if q.anyExhausted(es) {
		var all int64
		for i := range es {
			all += es[i].size
		}
		q.holds(all)
		q.mu.Unlock()
		var n, bytes int64
		var lost uint32 // that the dead letters would have reported: the message after them does
		var gone, dead []entry[M]
		home := es[:0]
		for _, e := range es {
			switch q.bury(c, e) {
			case outside:
				gone, lost = append(gone, e), lost+e.lost
			case buried:
				n, bytes, lost = n+1, bytes+e.size, lost+e.lost
				dead = append(dead, e)
			case refused:
				lost, e.lost = lost+e.lost, 0 // it goes to another place
				stuck = append(stuck, e)
			case kept:
				e.lost, lost = e.lost+lost, 0
				home = append(home, e)
			}
		}
		es = home
		q.mu.Lock()
		q.holds(-all)
		q.messages -= n
		q.bytes -= bytes // not from the total: the dead letters count there now
		for i := range gone {
			q.settle(&gone[i])
		}
		for i := range dead {
			q.left(&dead[i], 0, false)
		}
		q.pass(lost)
		if q.abandoned(es) && q.abandoned(stuck) { // removed meanwhile
			es, stuck = nil, nil
		}
	}
	for _, e := range es {
		q.noteExpiry(&e)
		q.waiting.returned.push(e)
	}
	for _, e := range stuck {
		q.pushBack(e)
	}
	q.dispatch(c)
	q.finish(c)
}

// fate is what happens to a returned message.
type fate int

const (
	kept    fate = iota // returns to its old place
	buried              // moved to a dead-letter queue
	refused             // the dead-letter queue has no room
	outside             // what keeps the messages moves it
)

func (q *queue[M, C]) bury(c C, e entry[M]) fate {
	if !q.exhausted(e) {
		return kept
	}
	if o := q.store.outside; o != nil && o.Bury != nil {
		if !o.Bury(c, e.message, q.name, int(e.attempts), q.back(e)) {
			return kept
		}
		return outside
	}
	name, m, size := q.store.dead(e.message, q.name, int(e.attempts))
	if name == "" {
		return kept
	}
	if q.store.put(c, Put[M]{Owner: e.owner, Queue: name, Message: m, Size: size}, e.size) != nil {
		return refused // for a limit; New documents this
	}
	return buried
}

// exhausted reports whether a message has had its last attempt.
func (q *queue[M, C]) exhausted(e entry[M]) bool {
	return int64(e.attempts) >= q.store.bounds.attempts && (q.store.dead != nil || q.store.outside != nil && q.store.outside.Bury != nil)
}

func (q *queue[M, C]) anyExhausted(es []entry[M]) bool {
	for _, e := range es {
		if q.exhausted(e) {
			return true
		}
	}
	return false
}
