package broker

import (
	"sync/atomic"

	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// A commitment is the frames of a transaction in the order in which COMMIT
// carries them out: what is stored first, as a whole or not at all; then the
// answers to messages, so that a failure in between repeats a message and loses
// none; then what goes to topics and users; and handlers last, whose failure
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

// commit handles COMMIT. Nothing of it is done if a frame is refused or a queue
// is full. If what it stores is not stored at once, the session reads nothing
// until it is.
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
	var own *response // keeps the place of the receipt
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

// commitment looks at all frames of a transaction before anything is done.
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

// carryOut does what follows when all is stored.
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

// allOf ends when all of the list have, with one of their errors; nil for none.
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
