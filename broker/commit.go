package broker

import (
	"slices"
	"sync/atomic"

	"github.com/hoofbeat/hoofbeat/broker/internal/dedup"
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
	once     []*dedup.Attempt // of puts
	open     []*dedup.Attempt // that have no outcome yet
}

type addressed struct {
	to    topics.Destination
	frame *frames.Frame
	once  *dedup.Attempt // nil without a message-dedup-id
}

// accepted ends the attempt of a message that was carried out.
func (x *addressed) accepted() {
	if x.once != nil {
		x.once.End(nil)
	}
}

// abandon ends the attempts of all messages that were not accepted.
func (c *commitment) abandon() { endAll(c.open, errNotAccepted) }

func endAll(list []*dedup.Attempt, err error) {
	for _, a := range list {
		a.End(err)
	}
}

// commit handles COMMIT. It does nothing if a frame is refused or a queue is
// full. If its messages are not stored at once, the session stops reading until
// they are.
func (s *session) commit(f *frames.Frame, bt *batch) *Error {
	tx, fail := s.takeTransaction(f)
	if fail != nil {
		return fail
	}
	c := new(commitment)
	defer c.abandon()
	if fail := s.gather(c, tx, bt); fail != nil {
		return fail
	}
	var later *completion
	if len(c.puts) > 0 {
		var err error
		if later, err = s.b.queues.Commit(bt, c.puts); err != nil {
			return refusedByQueue(queueFull(err))
		}
	}
	later = c.endOnce(later)
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

// endOnce ends the attempts of the messages that are stored when later has
// ended. It returns the completion to wait for in its place.
func (c *commitment) endOnce(later *completion) *completion {
	if len(c.once) == 0 {
		return later
	}
	if later == nil {
		endAll(c.once, nil)
		return nil
	}
	c.open = slices.DeleteFunc(c.open, func(a *dedup.Attempt) bool { return slices.Contains(c.once, a) })
	stored := new(completion)
	later.whenEnded(func(err error) {
		endAll(c.once, err)
		stored.end(err)
	})
	return stored
}

// gather checks all frames of a transaction before any is carried out.
func (s *session) gather(c *commitment, tx *transaction, bt *batch) *Error {
	for i := range tx.frames {
		f := &tx.frames[i]
		if f.Command != frames.CommandSend {
			if fail := s.ackFault(f); fail != nil {
				return fail
			}
			c.acks = append(c.acks, f)
			continue
		}
		d, fail := s.sendable(f, bt)
		if fail != nil {
			return fail
		}
		var once *dedup.Attempt
		if asked(f.Headers)&asksOnce != 0 {
			if once, fail = s.beginInCommit(d, f); fail != nil {
				return fail
			}
			c.open = append(c.open, once)
		}
		switch {
		case handled(d):
			c.requests = append(c.requests, addressed{d, f, once})
		case s.b.workQueue(d):
			put, err := s.b.queuePut(d.Path, s.publication(d, f, bt), s)
			if err != nil {
				return refusedByQueue(err)
			}
			c.puts = append(c.puts, put)
			if once != nil {
				c.once = append(c.once, once)
			}
		default:
			c.sends = append(c.sends, addressed{d, f, once})
		}
	}
	return nil
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
		x.accepted()
	}
	for _, x := range c.requests {
		if fail := s.handleSend(x.to, x.frame, bt); fail != nil {
			return nil, fail
		}
		x.accepted()
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
