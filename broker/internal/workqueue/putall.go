package workqueue

// Put is one message for [Store.PutOne] and [Store.PutAll].
type Put[M any] struct {
	Owner   *Owner // nil = none
	Queue   string
	Message M
	Size    int
	Expires int64 // when it expires, in the unit of [Expiry.Now]; 0 = never
}

func (p *Put[M]) entry() entry[M] {
	return entry[M]{message: p.Message, owner: p.Owner, size: int64(max(p.Size, 0)), expires: p.Expires}
}

// PutAll stores all messages, in order, or none: it reserves room for each
// before it stores the first. The error is a *[FullError]. While a failing
// PutAll holds its reservations, other callers may find a queue full.
func (s *Store[M, C]) PutAll(c C, puts []Put[M]) error {
	type taken struct {
		q *queue[M, C]
		e entry[M]
	}
	list := make([]taken, 0, len(puts))
	since := s.stamp()
	for i := range puts {
		p := &puts[i]
		q, err := s.open(p.Queue, p.Owner)
		if err == nil {
			e := p.entry()
			e.since = since
			if err = q.admit(&e, 0); err == nil {
				list = append(list, taken{q, e})
			}
			q.unlock()
		}
		if err != nil {
			for i := range list {
				t := &list[i]
				t.q.mu.Lock()
				t.q.settle(&t.e)
				t.q.unlock()
			}
			return err
		}
	}
	for i := range list {
		t := &list[i]
		t.q.mu.Lock() // the queue counts the message, so it still exists
		t.q.pushBack(t.e)
		t.q.dispatch(c)
		t.q.finish(c)
	}
	return nil
}
