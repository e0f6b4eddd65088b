package workqueue

// moveStep is how many messages are on their way at one time.
const moveStep = 64

// Move moves the waiting messages for which pick returns true, the oldest first,
// to the queue that to returns, another one, with the message and the size that
// replace them there. The Owner and Expires that to returns are ignored. Nothing
// that is put after the call began is moved. The limits of the other queue apply:
// the first message that it refuses ends Move with a *[FullError] and stays at
// its place, like all after it. found is false if there is no such queue.
//
// A message counts in its old queue until it is stored in the new one, and no
// consumer can get it meanwhile, so it is never in both and never in none. pick
// is called with the lock of the queue held, to without.
func (s *Store[M, C]) Move(c C, name string, pick func(Item[M]) bool, to func(M) Put[M]) (moved int, found bool, err error) {
	q := s.find(name)
	if q == nil {
		return 0, false, nil
	}
	q.mu.Lock()
	found = q.exists()
	after, last := uint64(0), q.lastSeq
	q.mu.Unlock()
	for more := true; more && err == nil; {
		var es []entry[M]
		es, after, more = q.take(after, last, pick)
		var n int
		n, err = q.send(c, es, to)
		moved += n
	}
	return moved, found, err
}

// take takes the next messages that pick wants, of those after one place and not
// after another. They still count. It returns the last place that it looked at,
// and whether there may be more.
func (q *queue[M, C]) take(after, last uint64, pick func(Item[M]) bool) (es []entry[M], at uint64, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting.remove(func(e *entry[M]) bool {
		switch {
		case e.seq <= after || e.seq > last:
			return false
		case len(es) == moveStep:
			more = true
			return false
		}
		after = e.seq
		if !pick(q.store.item(e)) {
			return false
		}
		es = append(es, *e)
		return true
	})
	return es, after, more
}

// send puts messages that were taken where they go. Those that are refused
// return to their places.
func (q *queue[M, C]) send(c C, es []entry[M], to func(M) Put[M]) (n int, err error) {
	var bytes int64
	for i := range es {
		p := to(es[i].message)
		p.Owner, p.Expires = es[i].owner, es[i].expires
		if err = q.store.put(c, p, es[i].size); err != nil {
			break
		}
		n, bytes = n+1, bytes+es[i].size
	}
	q.mu.Lock()
	q.messages -= int64(n)
	q.bytes -= bytes // not from the total: they count there in their new queues
	for _, e := range es[n:] {
		q.noteExpiry(&e)
		q.waiting.insert(e)
	}
	q.dispatch(c)
	q.finish(c)
	return n, err
}
