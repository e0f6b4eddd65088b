package store

import (
	"errors"

	"github.com/nats-io/nats.go"
)

// departure is a message that nobody here holds and that is being removed from
// the engine, or has been, while the engine may have sent it to a reader. What
// comes of it must not be delivered, and must not be counted again.
type departure struct {
	done    bool     // the engine has removed it
	source  *source  // got it meanwhile; nil: it has not come
	holding *holding // what it got
}

// Remove implements [broker.QueueStore].
func (q *Queues) Remove(queue string, sequence uint64, done func(error)) {
	done = orNothing(done)
	if err := q.Err(); err != nil {
		done(q.watcher.unfinished(err))
		return
	}
	q.remove(queue, sequence, true, done)
}

// remove removes a message. If spare is set, it leaves one that a reader holds.
func (q *Queues) remove(queue string, sequence uint64, spare bool, done func(error)) {
	pinned := q.ledger.pin(queue)
	ended := func(err error) {
		if err == nil {
			q.ledger.remove(pinned, sequence)
			q.unrecord(sequence)
		}
		q.ledger.unpin(pinned)
		done(err)
	}
	s := q.sourceOf(queue)
	switch h, spared := s.takeOut(pinned, sequence, spare); {
	case spared:
		q.ledger.unpin(pinned)
		done(nil)
		return
	case h != nil:
		q.ack([]string{h.reply}, true, ended)
		s.acks.Done()
		return
	}
	q.control.request("$JS.API.STREAM.MSG.DELETE."+q.names.stream, deleteRequest(sequence), func(m *nats.Msg, err error) {
		if err == nil {
			err = apiAnswer(m, nil)
		}
		var no *refusal
		switch {
		case isGone(err):
			err = nil
		case err != nil && !errors.As(err, &no):
			err = q.watcher.unfinished(err)
		}
		q.departed(pinned, sequence, err)
		ended(err)
	})
}

// takeOut takes a message out of the hands of the readers of a queue, to be
// acknowledged. If nobody here holds it, it is departing from now on. spared says
// that a reader holds it, and was to be spared. s may be nil.
func (s *source) takeOut(queue *ledgerQueue, sequence uint64, spare bool) (h *holding, spared bool) {
	if s == nil {
		return nil, false // nothing can come
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, false
	}
	h = s.held[sequence]
	switch {
	case h == nil:
		s.q.ledger.depart(queue, sequence)
	case h.reader != nil && spare:
		return nil, true
	default:
		s.drop(sequence)
		s.last = h.reply
		s.acks.Add(1)
	}
	return h, false
}

// departed says that the engine has removed a message, or why not. Then it is
// delivered like others.
func (q *Queues) departed(queue *ledgerQueue, sequence uint64, err error) {
	d := q.ledger.departed(queue, sequence, err == nil)
	if d == nil || d.source == nil {
		return
	}
	s := d.source
	s.mu.Lock()
	ended := s.ended
	if err != nil && !ended && s.held[sequence] == nil {
		s.held[sequence] = d.holding
		s.put(d.holding)
	}
	s.mu.Unlock()
	switch {
	case ended: // the consumer is made anew, see leave
	case err == nil:
		q.dismiss(d.holding.reply)
	default:
		s.offer()
	}
}

// dismiss lets the engine forget that it delivered a message that is not there any
// more.
func (q *Queues) dismiss(reply string) {
	_ = q.control.publish(&nats.Msg{Subject: reply, Data: sayAck}) // without the connection nothing is delivered
}

// depart marks a message of which nobody knows that it is being removed.
func (l *ledger) depart(q *ledgerQueue, sequence uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.departures == nil {
		q.departures = make(map[uint64]*departure)
	}
	if q.departures[sequence] == nil {
		q.departures[sequence] = new(departure)
	}
}

// departed ends the removal of a message, and returns the mark of it. A message
// that was removed and has not come may still come: its mark stays, see passed.
func (l *ledger) departed(q *ledgerQueue, sequence uint64, removed bool) *departure {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := q.departures[sequence]
	if d == nil {
		return nil
	}
	if d.done = removed; !removed || d.source != nil {
		delete(q.departures, sequence)
	}
	return d
}

// departing tells the ledger that a message has come, and reports whether it is
// being removed or has been. Then the source keeps it for the outcome, and does
// nothing else with it.
//
// The engine delivers in the order of the stream what it delivers for the first
// time. So the removed messages before this one do not come any more. What it
// delivers again and nobody counts was acknowledged meanwhile.
func (l *ledger) departing(q *ledgerQueue, sequence uint64, first bool, s *source, h *holding) (departing, removed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !first && q.reserved == 0 && q.departures[sequence] == nil {
		_, known := q.find(sequence)
		return !known, !known
	}
	if first {
		for one, d := range q.departures {
			if d.done && one < sequence {
				delete(q.departures, one)
			}
		}
	}
	d := q.departures[sequence]
	if d == nil {
		return false, false
	}
	if d.done {
		delete(q.departures, sequence)
		return true, true
	}
	d.source, d.holding = s, h
	return true, false
}

// stay forgets what was removed: the queue has no source that it could come to.
func (l *ledger) stay(q *ledgerQueue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for one, d := range q.departures {
		if d.done {
			delete(q.departures, one)
		}
	}
}
