package broker

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/hoofbeat/hoofbeat/broker/internal/dedup"
	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// A transaction stores the SEND, ACK and NACK frames between BEGIN and COMMIT
// (STOMP 1.2, "BEGIN"). Receipts for them confirm that they were added to the
// transaction; the receipt of the COMMIT confirms that they were executed. Open
// transactions are dropped when the session ends. A SEND is authorized when it
// is added and again at COMMIT.
type transaction struct {
	frames []frames.Frame
	bytes  int
}

// transactions are the open transactions of a session.
type transactions struct {
	open  map[string]*transaction
	bytes int
}

// transaction returns the transaction that f names, which must be open.
func (s *session) transaction(f *frames.Frame) (string, *transaction, *Error) {
	id, ok := f.Lookup(frames.HeaderTransaction)
	if !ok {
		return "", nil, failure(ReasonProtocolError, "%s without a transaction header", f.Command)
	}
	if s.tx == nil || s.tx.open[id] == nil {
		return "", nil, failure(ReasonProtocolError, "no open transaction %s", strconv.QuoteToASCII(id))
	}
	return id, s.tx.open[id], nil
}

// transact handles BEGIN and ABORT.
func (s *session) transact(f *frames.Frame) *Error {
	if f.Command == frames.CommandAbort {
		_, fail := s.takeTransaction(f)
		return fail
	}
	id, ok := f.Lookup(frames.HeaderTransaction)
	if !ok {
		return failure(ReasonProtocolError, "%s without a transaction header", f.Command)
	}
	if s.tx == nil {
		s.tx = &transactions{open: make(map[string]*transaction)}
	}
	if s.tx.open[id] != nil {
		return failure(ReasonProtocolError, "transaction %s has begun already", strconv.QuoteToASCII(id))
	}
	l := s.b.policy.Load().limits
	if len(s.tx.open) >= l.Transactions {
		return failure(ReasonLimit, "more than %d open transactions (limits.transactions)", l.Transactions)
	}
	size := transactionOverhead + len(id)
	if s.tx.bytes+size > l.TransactionBytes {
		return tooManyTransactionBytes(l)
	}
	s.tx.bytes += size
	s.tx.open[strings.Clone(id)] = &transaction{bytes: size}
	return nil
}

// takeTransaction ends the transaction that f names.
func (s *session) takeTransaction(f *frames.Frame) (*transaction, *Error) {
	id, tx, fail := s.transaction(f)
	if fail != nil {
		return nil, fail
	}
	delete(s.tx.open, id)
	s.tx.bytes -= tx.bytes
	if len(s.tx.open) == 0 {
		s.tx = nil
	}
	return tx, nil
}

func tooManyTransactionBytes(l Limits) *Error {
	return failure(ReasonLimit, "more than %d bytes in open transactions (limits.transaction_bytes)", l.TransactionBytes)
}

// inTransaction stores a frame until COMMIT.
func (s *session) inTransaction(f *frames.Frame, asks asks, bt *batch) *Error {
	_, tx, fail := s.transaction(f)
	if fail != nil {
		return fail
	}
	l := s.b.policy.Load().limits
	if len(tx.frames) >= l.TransactionFrames {
		return failure(ReasonLimit, "more than %d frames in a transaction (limits.transaction_frames)", l.TransactionFrames)
	}
	var kind topics.Kind
	if f.Command == frames.CommandSend { // so that a COMMIT does not fail halfway
		d, fail := s.sendable(f, bt)
		if fail != nil {
			return fail
		}
		if asks&asksOnce != 0 {
			if fail := s.unknown(d.Destination, f); fail != nil {
				return fail
			}
		}
		if asks&asksTime != 0 {
			if _, fail := s.checkTimes(d.Destination, f); fail != nil {
				return fail
			}
		}
		kind = d.Kind
		if asks&asksReplies != 0 {
			if fail := s.expectReplies(f, bt); fail != nil {
				return fail
			}
		}
	}
	kept, size := keepFrame(f, kind)
	if s.tx.bytes+size > l.TransactionBytes {
		return tooManyTransactionBytes(l)
	}
	tx.bytes += size
	s.tx.bytes += size
	tx.frames = append(tx.frames, kept)
	s.receipt(f, bt)
	return nil
}

// commitment holds the frames of a transaction in the order in which COMMIT
// carries them out. First, messages are stored, all or none. Then come the ACKs
// and NACKs, so that a failure in between repeats a message and loses none.
// Then come the messages to topics and users. Handlers run last; their failure
// undoes nothing, and the COMMIT is answered when all are done.
type commitment struct {
	puts     []queuePut
	kept     []historyPut // for topics with a history over a store
	acks     []*frames.Frame
	sends    []addressed
	requests []addressed
	delayed  []*delayedItem   // they have their place from the COMMIT on
	once     []*dedup.Attempt // of puts and delayed
	keptOnce []*dedup.Attempt // of kept
	open     []*dedup.Attempt // that have no outcome yet

	unroutable bool // an answer was dropped because its requester has gone
}

type addressed struct {
	to    destination
	frame *frames.Frame
	asks  asks
	once  *dedup.Attempt // nil without a message-dedup-id
}

// accepted ends the attempt of a message that was carried out.
func (x *addressed) accepted() {
	if x.once != nil {
		x.once.End(nil)
	}
}

// acceptedLater ends the attempt of a message when its handler is done. It
// returns the completion to wait for in place of later.
func (c *commitment) acceptedLater(s *session, once *dedup.Attempt, later *completion) *completion {
	c.open = slices.DeleteFunc(c.open, func(a *dedup.Attempt) bool { return a == once })
	done := new(completion)
	later.whenEnded(func(err error) {
		if once != nil {
			once.End(err)
		}
		s.out.goesOn()
		done.end(err)
	})
	return done
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
	later, err := s.b.storeAll(bt, c.delayed, c.puts)
	if err != nil {
		return refusedByQueue(err)
	}
	later = c.whenStored(later)
	var own *response // keeps the position of the receipt
	for _, then := range [...]func() *completion{func() *completion { return later }, c.keep} {
		later := then()
		if later == nil {
			continue
		}
		if own == nil {
			own = s.promise(f, tx.bytes)
		}
		err, ended := s.await(later, bt)
		if !ended {
			return nil
		}
		if err != nil {
			own.settle(notStored(err))
			return nil
		}
	}
	s.b.stats.published.Add(int64(len(c.puts) + len(c.delayed) + len(c.kept)))
	later, fail = s.carryOut(c, f, bt)
	later = s.softened(later, f)
	if c.unroutable && fail == nil {
		if own != nil {
			own.replace(s.receiptFrame(f, saysUnroutable))
		} else if later == nil {
			later = unroutable()
		} else {
			later.says = saysUnroutable
		}
	}
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
		later.whenEnded(own.conclude)
	}
	return nil
}

// storeAll stores the messages of a transaction, all or none.
func (b *Broker) storeAll(bt *batch, delayed []*delayedItem, puts []queuePut) (later *completion, err error) {
	switch {
	case len(delayed) > 0:
		return b.delays.Put(bt, delayed, puts)
	case len(puts) > 0:
		if later, err = b.queues.Commit(bt, puts); err != nil {
			err = queueFull(err)
		}
	}
	return later, err
}

// whenStored ends the attempts of all messages that are stored when later has
// ended. It returns the completion to wait for in its place.
func (c *commitment) whenStored(later *completion) *completion {
	if later == nil {
		endAll(c.once, nil)
		return nil
	}
	if len(c.once) == 0 {
		return later
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
		if fail := s.gatherSend(c, f, bt); fail != nil {
			return fail
		}
	}
	return nil
}

func (s *session) gatherSend(c *commitment, f *frames.Frame, bt *batch) *Error {
	d, fail := s.sendable(f, bt)
	if fail != nil {
		return fail
	}
	x := addressed{to: d, frame: f, asks: asked(f.Headers)}
	if x.asks&asksOnce != 0 {
		if x.once, fail = s.beginInCommit(d.Destination, f); fail != nil {
			return fail
		}
		c.open = append(c.open, x.once)
	}
	switch {
	case handled(d.Kind):
		c.requests = append(c.requests, x)
		return nil
	case x.asks&asksDelay == 0 && !d.queue && !d.stored():
		c.sends = append(c.sends, x)
		return nil
	}
	p, fail := s.publication(d.Name, f, x.asks, bt)
	if fail != nil {
		return fail
	}
	switch {
	case p.due != 0:
		it, err := s.b.delay(d, p, s)
		if err != nil {
			return refusedByQueue(err)
		}
		c.delayed = append(c.delayed, it)
	case d.queue:
		put, err := s.b.queuePut(d.Path, p, s)
		if err != nil {
			return refusedByQueue(err)
		}
		c.puts = append(c.puts, put)
	case d.stored():
		if !s.b.tooLate(p.expires) {
			c.kept = append(c.kept, historyPut{d.archive, d.archive.put(d.Destination, p, p.onceOf(d.Name, s))})
		}
		if x.once != nil {
			c.keptOnce = append(c.keptOnce, x.once)
		}
		return nil
	default: // a delay of 0
		c.sends = append(c.sends, x)
		return nil
	}
	if x.once != nil {
		c.once = append(c.once, x.once)
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
		p, fail := s.publication(x.to.Name, x.frame, x.asks, bt)
		if fail != nil {
			return nil, fail
		}
		_, later, err := s.b.accept(x.to, p, s, bt)
		switch {
		case errors.Is(err, errNobody):
			c.unroutable = true
		case err != nil:
			return nil, refusedByQueue(err)
		case later != nil: // durable subscriptions want it
			open = append(open, c.acceptedLater(s, x.once, later))
			continue
		}
		x.accepted()
	}
	for _, x := range c.requests {
		later, fail := s.handleSend(x.to.Destination, x.frame, x.asks, bt)
		if fail != nil {
			return nil, fail
		}
		if later == nil {
			x.accepted()
			continue
		}
		open = append(open, c.acceptedLater(s, x.once, later))
	}
	return allOf(open), nil
}

// keepFrame returns a copy of a SEND, ACK or NACK for a transaction, and its
// size. The copy keeps all headers of a SEND to a handler, and otherwise only
// the headers that COMMIT needs.
func keepFrame(f *frames.Frame, kind topics.Kind) (kept frames.Frame, size int) {
	all := kind == topics.App || kind == topics.UserPrivate
	n, text := 0, 0
	for i := range f.Headers {
		if h := &f.Headers[i]; all || keptInTransaction(h.Name) {
			n++
			text += len(h.Name) + len(h.Value)
		}
	}
	var k packed
	k.b.Grow(text)
	kept = frames.Frame{Command: f.Command, Headers: make([]frames.Header, 0, n), Body: append([]byte(nil), f.Body...)}
	for i := range f.Headers {
		if h := &f.Headers[i]; all || keptInTransaction(h.Name) {
			kept.Headers = append(kept.Headers, frames.Header{Name: k.add(h.Name), Value: k.add(h.Value)})
		}
	}
	return kept, frameOverhead + len(kept.Body) + headersSize(kept.Headers)
}

// keptInTransaction reports whether COMMIT needs a header: the headers of the
// resulting message, the destination, and the headers that identify the message
// of an ACK or NACK.
func keptInTransaction(name string) bool {
	switch name {
	case frames.HeaderDestination, frames.HeaderID, frames.HeaderMessageID, frames.HeaderSubscription:
		return true
	}
	return !Reserved(name)
}
