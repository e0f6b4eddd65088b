package workqueue

// takeBack returns messages, still counted, that a consumer gave up, or makes dead letters of those that had their
// last attempt. It is called with the queue's lock held and releases it.
//
// The dead letters are made and put with no lock held, so that two queues which feed each other cannot deadlock. All
// of es stays out of reach meanwhile, so that what comes back does so in one step and in order; it stays counted, so
// that there is room to come back to and the queue cannot go away.
func (q *queue[M, C]) takeBack(c C, es []entry[M]) {
	var stuck []entry[M]
	if q.anyExhausted(es) {
		q.mu.Unlock()
		var n, bytes int64
		home := es[:0]
		for _, e := range es {
			switch q.bury(c, e) {
			case buried:
				n, bytes = n+1, bytes+e.size
			case refused:
				stuck = append(stuck, e)
			case kept:
				home = append(home, e)
			}
		}
		es = home
		q.mu.Lock()
		q.messages -= n
		q.bytes -= bytes // and not from the total: the dead letters took that over
	}
	for _, e := range es {
		q.waiting.returned.push(e)
	}
	for _, e := range stuck {
		q.pushBack(e)
	}
	q.dispatch(c)
	q.unlock()
}

// fate is what becomes of a returned message.
type fate int

const (
	kept    fate = iota // it takes its old place
	buried              // it lies in a dead-letter queue
	refused             // there was no room for it there
)

func (q *queue[M, C]) bury(c C, e entry[M]) fate {
	if !q.exhausted(e) {
		return kept
	}
	name, m, size := q.store.dead(e.message, q.name, int(e.attempts))
	if name == "" {
		return kept
	}
	if q.store.put(c, e.owner, name, m, size, e.size) != nil {
		return refused // by a limit, which New documents
	}
	return buried
}

// exhausted tells whether a message has had its last attempt.
func (q *queue[M, C]) exhausted(e entry[M]) bool {
	return q.store.dead != nil && int64(e.attempts) >= q.store.bounds.attempts
}

func (q *queue[M, C]) anyExhausted(es []entry[M]) bool {
	for _, e := range es {
		if q.exhausted(e) {
			return true
		}
	}
	return false
}
