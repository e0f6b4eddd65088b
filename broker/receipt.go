package broker

import (
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/frames"
)

// receipts are the answers of a session that wait, in the order of the frames
// that asked for them: for a store that has not finished, or for those before
// them. An outbox has them only while something waits; its lock guards them and
// every [response] in them.
type receipts struct {
	list      []*response
	bytes     int
	full      bool          // limits.in_flight is reached: nothing is read until half is free
	last      bool          // an answer ends the session: nothing more is read
	advancing bool          // somebody is in advance
	room      chan struct{} // closed when reading may go on, if the reader waits for it
	over      chan struct{} // closed when the session ends, if the reader waits for it
	progress  time.Time     // when the latest answer was given
	timer     *time.Timer   // ends a drain that waits too long
}

// A response is what one frame gets when its turn comes.
type response struct {
	session atomic.Pointer[session] // nil once it is settled, or of no interest any more
	waiting bool
	receipt []byte        // the RECEIPT, nil if none was asked for
	sub     *subscription // of a SUBSCRIBE: its gate opens then
	end     *Error        // instead: the session ends with it
	id      string        // receipt-id of the ERROR
	size    int
}

// responseOverhead is what an answer takes beside its frames.
const responseOverhead = 160

// drainReceipts is how long a drain waits for the receipts of a session.
const drainReceipts = 12 * time.Second

// receipt gives f the RECEIPT that it asked for, if it did.
func (s *session) receipt(f *frames.Frame, bt *batch) {
	if seg := s.receiptFrame(f); seg != nil {
		s.out.respond(seg, bt)
	}
}

// receiptLater does so when what f did has ended; nil means that it has.
func (s *session) receiptLater(f *frames.Frame, later *completion, bt *batch) {
	if later == nil {
		s.receipt(f, bt)
		return
	}
	a := s.promise(f, headersSize(f.Headers)+len(f.Body))
	later.whenEnded(func(err error) { a.settle(notStored(err)) })
}

// promise puts an answer for f into the list, to be settled later.
func (s *session) promise(f *frames.Frame, size int) *response {
	a := &response{waiting: true, receipt: s.receiptFrame(f), id: strings.Clone(f.Get(frames.HeaderReceipt))}
	a.size = responseOverhead + size + len(a.receipt)
	a.session.Store(s)
	s.deferred = true
	s.out.mu.Lock()
	s.out.enlist(a)
	s.out.mu.Unlock()
	return a
}

func (s *session) receiptFrame(f *frames.Frame) []byte {
	id, ok := f.Lookup(frames.HeaderReceipt)
	if !ok {
		return nil
	}
	b := append(make([]byte, room, room+25+len(id)), "RECEIPT\n"...)
	b = frames.AppendHeader(b, s.version, frames.HeaderReceiptID, id)
	b = append(b, '\n', 0)
	framing := s.wire.framing()
	return framed(terminated(b, framing), framing, !utf8.ValidString(id))
}

// settle says how what the answer waits for has ended. Anybody may call it, with
// no lock held; only the first call has an effect, and none once the session has
// ended.
func (a *response) settle(fail *Error) {
	s := a.session.Swap(nil)
	if s == nil {
		return
	}
	bt := s.b.newBatch()
	o := &s.out
	o.mu.Lock()
	a.waiting, a.end = false, fail
	if o.receipts != nil && fail != nil {
		o.receipts.last = true
	}
	o.advance(bt)
	bt.flushLater()
}

// withdraw settles an answer without a RECEIPT.
func (a *response) withdraw() {
	s := a.session.Load()
	if s == nil {
		return
	}
	s.out.mu.Lock()
	a.receipt = nil
	s.out.mu.Unlock()
	a.settle(nil)
}

// notStored is what a client is told of something that a store could not finish.
func notStored(err error) *Error {
	if err == nil {
		return nil
	}
	return refusedByQueue(err)
}

// enlist adds an answer behind those that wait. The caller holds the lock.
func (o *outbox) enlist(a *response) {
	if o.closed {
		a.session.Store(nil)
		return
	}
	r := o.receipts
	if r == nil {
		r = new(receipts)
		o.receipts = r
	}
	if a.size == 0 {
		a.size = responseOverhead + len(a.receipt)
	}
	r.list = append(r.list, a)
	r.bytes += a.size
	l := o.s.b.policy.Load().limits
	r.full = r.full || len(r.list) >= l.InFlight || r.bytes >= l.InFlightBytes
	r.last = r.last || a.end != nil
}

// respond adds a RECEIPT, behind those that wait.
func (o *outbox) respond(seg []byte, bt *batch) {
	o.mu.Lock()
	if o.receipts != nil {
		o.enlist(&response{receipt: seg})
		o.mu.Unlock()
		return
	}
	o.pushLocked(seg, bt)
}

// endLast ends the session when what waits has been answered, and reports false
// if nothing does. Reading stops until then. The time that this may take is
// bounded unless it is 0.
func (o *outbox) endLast(f *Error, receipt string, within time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.receipts
	if r == nil {
		return false
	}
	o.enlist(&response{end: f, id: strings.Clone(receipt)})
	if within > 0 && r.timer == nil {
		s := o.s
		r.timer = time.AfterFunc(within, func() { s.endNow(f) })
	}
	return true
}

// advance gives the answers whose turn has come. It is called with the lock held
// and releases it. It may let go of the lock meanwhile, so one at a time does it,
// and an answer stays in the list until it is out.
func (o *outbox) advance(bt *batch) {
	r := o.receipts
	if r == nil || r.advancing {
		o.mu.Unlock()
		return
	}
	r.advancing = true
	for !o.closed && len(r.list) > 0 && !r.list[0].waiting {
		a := r.list[0]
		if a.end != nil {
			o.mu.Unlock()
			o.s.end(a.end, a.id, bt)
			return
		}
		if a.receipt != nil {
			if !o.room(len(a.receipt), bt) {
				break
			}
			o.append(a.receipt)
		}
		r.list[0] = nil
		r.list = r.list[1:]
		r.bytes -= a.size
		r.progress = time.Now()
		if sub := a.sub; sub != nil && !sub.dead {
			o.openGate(sub)
			if sub.consumer != nil {
				o.mu.Unlock()
				sub.consumer.Start(bt)
				o.mu.Lock()
			}
		}
	}
	if o.closed {
		o.mu.Unlock()
		return
	}
	r.advancing = false
	l := o.s.b.policy.Load().limits
	if len(r.list) <= l.InFlight/2 && r.bytes <= l.InFlightBytes/2 {
		r.full = false
	}
	if r.room != nil && !r.full && !r.last {
		close(r.room)
		r.room = nil
	}
	if len(r.list) == 0 {
		o.receipts = nil
	}
	wake := o.pending != nil && o.wake()
	o.mu.Unlock()
	if wake {
		bt.add(o)
	}
}

// forget drops what waits: the session ends. What a store finishes later finds
// nobody. The caller holds the lock, and has closed the outbox.
func (o *outbox) forget() {
	r := o.receipts
	if r == nil {
		return
	}
	o.receipts = nil
	for _, a := range r.list {
		a.session.Store(nil)
		a.sub = nil
	}
	if r.room != nil {
		close(r.room)
	}
	if r.over != nil {
		close(r.over)
	}
	if r.timer != nil {
		r.timer.Stop()
	}
}
