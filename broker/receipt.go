package broker

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/frames"
)

// receipts are the waiting answers of a session, in the order of the frames
// that requested them. An answer waits for a store that has not finished, or
// for earlier answers. An outbox has a receipts value only while an answer
// waits; the lock of the outbox guards it and every [response] in it.
type receipts struct {
	list      []*response
	bytes     int
	full      bool          // limits.in_flight is reached: reading stops until half is free
	last      bool          // an answer ends the session: reading stops
	advancing bool          // advance is running
	room      chan struct{} // closed when reading may continue; nil if the reader does not wait
	over      chan struct{} // closed when the session ends; nil if the reader does not wait
	progress  time.Time     // when the latest answer was sent
	timer     *time.Timer   // ends the session if a drain waits too long
}

// A response is the answer to one frame, sent when its turn comes.
type response struct {
	session atomic.Pointer[session] // nil once it is settled or the session has ended
	waiting bool
	receipt []byte      // the RECEIPT, nil if none was asked for
	sub     *subscriber // of a SUBSCRIBE: its gate opens with this answer
	end     *Error      // if set, the session ends with this error instead
	id      string      // receipt-id of the ERROR
	size    int
}

// responseOverhead is the memory of a response, in bytes, without its frames.
const responseOverhead = 160

// drainReceipts is how long a drain waits for the pending receipts of a
// session.
const drainReceipts = 12 * time.Second

// receipt sends the RECEIPT for f, if f requested one.
func (s *session) receipt(f *frames.Frame, bt *batch) {
	if seg := s.receiptFrame(f, ""); seg != nil {
		s.out.respond(seg, bt)
	}
}

// receiptLater sends the RECEIPT for f when later has ended, or at once if
// later is nil.
func (s *session) receiptLater(f *frames.Frame, later *completion, bt *batch) {
	if later == nil {
		s.receipt(f, bt)
		return
	}
	a := s.promise(f, headersSize(f.Headers)+len(f.Body))
	if later.says != "" {
		a.replace(s.receiptFrame(f, later.says))
	}
	later.whenEnded(a.conclude)
}

// promise adds an answer for f to the list, to be settled later.
func (s *session) promise(f *frames.Frame, size int) *response {
	a := &response{waiting: true, receipt: s.receiptFrame(f, ""), id: strings.Clone(f.Get(frames.HeaderReceipt))}
	a.size = responseOverhead + size + len(a.receipt)
	a.session.Store(s)
	s.deferred = true
	s.out.mu.Lock()
	s.out.enlist(a)
	s.out.mu.Unlock()
	return a
}

// receiptFrame returns the RECEIPT that f requested, or nil. The headers are
// encoded.
func (s *session) receiptFrame(f *frames.Frame, headers string) []byte {
	id, ok := f.Lookup(frames.HeaderReceipt)
	if !ok {
		return nil
	}
	return encode.Receipt(s.wire.Framing(), s.version, id, headers)
}

// settle reports the outcome of the operation that the answer waits for. Any
// goroutine may call it, with no lock held. Only the first call has an effect,
// and no call has one after the session has ended.
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

// replace changes the RECEIPT of an answer that waits.
func (a *response) replace(receipt []byte) {
	s := a.session.Load()
	if s == nil {
		return
	}
	s.out.mu.Lock()
	a.receipt = receipt
	s.out.mu.Unlock()
}

// withdraw settles an answer without a RECEIPT.
func (a *response) withdraw() {
	a.replace(nil)
	a.settle(nil)
}

// notStored returns the error for the client if a store could not finish an
// operation, or nil.
func notStored(err error) *Error {
	if err == nil {
		return nil
	}
	return refusedByQueue(err)
}

// enlist adds an answer after the waiting ones. The caller holds the lock.
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

// respond adds a RECEIPT after the waiting answers.
func (o *outbox) respond(seg []byte, bt *batch) {
	o.mu.Lock()
	if o.receipts != nil {
		o.enlist(&response{receipt: seg})
		o.mu.Unlock()
		return
	}
	o.pushLocked(seg, bt)
}

// endLast ends the session after all waiting answers have been sent, and
// returns false if none is waiting. Reading stops until then. If within is not
// 0, the session ends after that time at the latest.
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

// advance sends the answers whose turn has come. The caller holds the lock, and
// advance releases it. It may release the lock meanwhile, so only one call runs
// at a time, and an answer stays in the list until it has been appended.
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
			if !o.fits(len(a.receipt), false, bt) {
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
			if sub.consumer != nil || sub.replay.Load() != nil {
				o.mu.Unlock()
				sub.start(bt)
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

// forget drops the waiting answers because the session ends. Stores that finish
// later have no effect. The caller holds the lock and has closed the outbox.
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
