package broker

import (
	"sync/atomic"

	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// commitment holds the frames of a transaction in the order in which COMMIT
// carries them out. First, messages are stored, all or none. Then come the ACKs
// and NACKs, so that a failure in between repeats a message and loses none.
// Then come the messages to topics and users. Handlers run last; their failure
// undoes nothing.
type commitment struct {
	puts     []queuePut
	acks     []*frames.Frame
	sends    []addressed
	requests []addressed
}

type addressed struct {
	to    topics.Destination
	frame *frames.Frame
}

// commit handles COMMIT. It does nothing if a frame is refused or a queue is
// full. If its messages are not stored at once, the session stops reading until
// they are.
func (s *session) commit(f *frames.Frame, bt *batch) *Error {
	tx, fail := s.takeTransaction(f)
	if fail != nil {
		return fail
	}
	c, fail := s.commitment(tx, bt)
	if fail != nil {
		return fail
	}
	var later *completion
	if len(c.puts) > 0 {
		var err error
		if later, err = s.b.queues.Commit(bt, c.puts); err != nil {
			return refusedByQueue(queueFull(err))
		}
	}
	var own *response // keeps the position of the receipt
	if later != nil {
		own = s.promise(f, tx.bytes)
		err, ended := s.await(later, bt)
		if !ended {
			return nil
		}
		if err != nil {
			own.settle(notStored(err))
			return nil
		}
	}
	s.b.stats.published.Add(int64(len(c.puts)))
	later, fail = s.carryOut(c, f, bt)
	switch {
	case own == nil && fail != nil:
		return fail
	case own == nil:
		s.receiptLater(f, later, bt)
	case fail != nil && s.softly(fail, f, bt):
		own.withdraw()
	case fail != nil || later == nil:
		own.settle(fail)
	default:
		later.whenEnded(func(err error) { own.settle(notStored(err)) })
	}
	return nil
}

// commitment checks all frames of a transaction before any is carried out.
func (s *session) commitment(tx *transaction, bt *batch) (*commitment, *Error) {
	c := new(commitment)
	for i := range tx.frames {
		f := &tx.frames[i]
		if f.Command != frames.CommandSend {
			if fail := s.ackFault(f); fail != nil {
				return nil, fail
			}
			c.acks = append(c.acks, f)
			continue
		}
		d, fail := s.sendable(f, bt)
		if fail != nil {
			return nil, fail
		}
		switch {
		case handled(d):
			c.requests = append(c.requests, addressed{d, f})
		case s.b.workQueue(d):
			put, err := s.b.queuePut(d.Path, s.publication(d, f, bt), s)
			if err != nil {
				return nil, refusedByQueue(err)
			}
			c.puts = append(c.puts, put)
		default:
			c.sends = append(c.sends, addressed{d, f})
		}
	}
	return c, nil
}

// carryOut carries out the remaining frames after all messages are stored.
func (s *session) carryOut(c *commitment, f *frames.Frame, bt *batch) (later *completion, _ *Error) {
	_, confirm := f.Lookup(frames.HeaderReceipt)
	var open []*completion
	for _, f := range c.acks {
		later, fail := s.acknowledge(f, confirm, bt)
		if fail != nil {
			return nil, fail
		}
		if later != nil {
			open = append(open, later)
		}
	}
	for _, x := range c.sends {
		if _, _, err := s.b.accept(x.to, s.publication(x.to, x.frame, bt), s, bt); err != nil {
			return nil, refusedByQueue(err)
		}
	}
	for _, x := range c.requests {
		if fail := s.handleSend(x.to, x.frame, bt); fail != nil {
			return nil, fail
		}
	}
	return allOf(open), nil
}

// allOf returns a completion that ends when all of the list have ended, with
// one of their errors. It returns nil for an empty list.
func allOf(list []*completion) *completion {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	all := new(completion)
	var left atomic.Int32
	var failed atomic.Pointer[error]
	left.Store(int32(len(list)))
	for _, one := range list {
		one.whenEnded(func(err error) {
			if err != nil {
				failed.Store(&err)
			}
			if left.Add(-1) > 0 {
				return
			}
			if err := failed.Load(); err != nil {
				all.end(*err)
			} else {
				all.end(nil)
			}
		})
	}
	return all
}
