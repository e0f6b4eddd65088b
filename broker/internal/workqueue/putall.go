package workqueue

// Put is one message of [Store.PutAll].
type Put[M any] struct {
	Owner   *Owner // nil for nobody's
	Queue   string
	Message M
	Size    int
}

// PutAll stores all the messages, in their order, or none: room is taken for each before the first is stored. The error
// is a *[FullError]. Others may find a queue full meanwhile for want of the room that is given back then.
func (s *Store[M, C]) PutAll(c C, puts []Put[M]) error {
	type taken struct {
		q *queue[M, C]
		e entry[M]
	}
	list := make([]taken, 0, len(puts))
	for i := range puts {
		p := &puts[i]
		q, err := s.open(p.Queue, p.Owner)
		if err == nil {
			e := entry[M]{message: p.Message, owner: p.Owner, size: int64(max(p.Size, 0))}
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
		t.q.mu.Lock() // it counts the message, so it has not gone
		t.q.pushBack(t.e)
		t.q.dispatch(c)
		t.q.unlock()
	}
	return nil
}
