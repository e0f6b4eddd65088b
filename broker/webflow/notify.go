package webflow

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
)

// Notify reports a result of an operation. The page that waits for it gets
// {"webSocketId":"…","authResult":"…"} on /user/topic/authorization, at once or
// as soon as it has registered and subscribed. Notify grants nothing: the page
// must still make the request that decides.
//
// delivered reports whether this result was handed to the page before Notify
// returned. If another goroutine is sending to the page at that moment (the
// reply to its registration or an earlier result), Notify waits for it, for up
// to a second.
//
// A terminal result may be reported any number of times; it remains one result.
// A different result after it gives ErrDecided. The other errors are ErrResult,
// ErrUnknown, ErrTooOften, ErrClosed, ErrFull in the mode [Open], and that of
// ctx.
func (f *Flow) Notify(ctx context.Context, operationID, result string) (delivered bool, err error) {
	derived := f.derive(operationID)
	return f.notify(ctx, result, func() (*operation, error) {
		if !validText(operationID, auth.MaxOperationBytes) {
			return nil, ErrUnknown
		}
		op := f.find(operationID, derived)
		if op == nil {
			return f.takeUp(operationID, derived, derived)
		}
		op.id = operationID // unknown so far if a page registered in the mode Open
		return op, nil
	})
}

// NotifyWebSocketID is like [Flow.Notify], but names the operation by its
// webSocketId.
func (f *Flow) NotifyWebSocketID(ctx context.Context, webSocketID, result string) (delivered bool, err error) {
	return f.notify(ctx, result, func() (*operation, error) {
		if op := f.byWebSocketID[webSocketID]; op != nil {
			return op, nil
		}
		if !validText(webSocketID, f.o.MaxIDBytes) {
			return nil, ErrUnknown
		}
		return f.takeUp("", webSocketID, "")
	})
}

// takeUp creates an unannounced operation to hold a result, if the mode allows
// it. The caller has the lock.
func (f *Flow) takeUp(id, webSocketID, derived string) (*operation, error) {
	if f.o.Registration != Open {
		return nil, ErrUnknown
	}
	op := f.unannounced(webSocketID)
	op.id = id
	return op, f.add(op, derived)
}

func (f *Flow) notify(ctx context.Context, text string, find func() (*operation, error)) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	m, ok := f.results[text]
	if !ok {
		return false, ErrResult
	}
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return false, ErrClosed
	}
	op, err := find()
	if err != nil {
		f.mu.Unlock()
		return false, err
	}
	r := &op.result
	switch {
	case r.terminal && r.text == m.text: // reported before
		delivered := r.offered
		f.mu.Unlock()
		return delivered, nil
	case r.terminal:
		f.mu.Unlock()
		return false, ErrDecided
	case !m.terminal && int(r.interims) >= f.o.MaxInterim:
		f.mu.Unlock()
		return false, fmt.Errorf("%w: more than %d interim results", ErrTooOften, f.o.MaxInterim)
	}
	defer f.mu.Unlock()
	f.report(op, m)
	number := r.number
	f.handOut(op, nil)
	f.waitForOther(ctx, op, number)
	f.waitForCallbacks()
	return r.offered && r.number == number, nil
}

// otherWait limits how long Notify waits for another goroutine.
const otherWait = time.Second

// waitForOther waits while another goroutine is about to hand out the result
// with this number: it is either answering the registration, which must come
// first, or sending through the broker. The caller has the lock.
func (f *Flow) waitForOther(ctx context.Context, op *operation, number uint64) {
	busy := func() bool {
		return !f.closed && op.result.number == number && !op.result.offered && (op.delivering || op.registered() && !op.ready)
	}
	if !busy() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, otherWait)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.handedOut.Broadcast()
	})
	defer stop()
	for busy() && ctx.Err() == nil {
		f.handedOut.Wait()
	}
}

// deliver is handOut for callers without the lock.
func (f *Flow) deliver(op *operation, r *broker.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handOut(op, r)
}

// handOut sends the pending result of op, if there is one, to the registered
// session, if there is one. Only one goroutine at a time does so for an
// operation. A second one sets op.again and leaves; the first then looks again,
// so that it does not miss a SUBSCRIBE or a newer result that came while it was
// sending. r is the request being handled, nil outside of one. The caller has
// the lock.
func (f *Flow) handOut(op *operation, r *broker.Request) {
	if op.delivering {
		op.again = true
		return
	}
	op.delivering = true
	for op.result.pending && op.ready && op.registered() {
		op.again, op.result.pending = false, false
		c, registration, sent := op.at, op.registration, op.result
		f.mu.Unlock()
		d := f.send(c.session, f.delivery(op, registration, sent), r)
		f.mu.Lock()
		now := &sent
		if op.result.number == sent.number {
			now = &op.result
			if op.registration == registration {
				now.delivered(d)
			}
		}
		if d.Subscriptions > 0 {
			f.offered(op, c, now)
		}
		if d.Subscriptions == 0 && !op.again {
			break
		}
	}
	op.delivering = false
	f.handedOut.Broadcast()
}

// offered records that a result was handed to a session. The caller has the
// lock.
func (f *Flow) offered(op *operation, c *client, r *result) {
	if r.offered {
		return
	}
	r.offered = true
	e := f.event(op, c)
	e.Result = r.text // op may hold a newer result
	f.post(f.o.Delivered, e)
}

// delivery builds the message that carries a result.
func (f *Flow) delivery(op *operation, registration uint32, r result) *broker.Message {
	m := message(authorizationDestination, notification(op.webSocketID, r.text))
	m.ID = f.messages + strconv.FormatUint(r.number, 10)
	m.Redelivered = r.offered
	m.Settled = func(_ string, o broker.Outcome) { f.settled(op, registration, r.number, o) }
	return m
}

// delivered records the outcome of a delivery to the registered session. Its
// acknowledgements may have come first.
func (r *result) delivered(d broker.Delivery) {
	if d.Subscriptions == 0 {
		r.pending = true
		return
	}
	r.outstanding += int32(d.Unacknowledged)
	if d.Unacknowledged > 0 {
		r.reoffer()
	}
}

// settled handles each acknowledgement of a result. It ignores those from an
// earlier registration and those of an older result.
func (f *Flow) settled(op *operation, registration uint32, number uint64, o broker.Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &op.result
	if op.registration != registration || r.number != number {
		return
	}
	r.outstanding--
	switch o {
	case broker.Acknowledged:
		f.offered(op, op.at, r) // the ACK may arrive before send returns
		if !r.acked {
			f.post(f.o.Acknowledged, f.event(op, op.at))
		}
		r.acked = true
	case broker.Refused:
		r.refused = true
	}
	r.reoffer()
}

// reoffer makes the result pending again if every subscription that got it
// ended without an ACK or NACK.
func (r *result) reoffer() {
	if r.outstanding == 0 && !r.acked && !r.refused {
		r.pending = true
	}
}

// send sends a message to a session: as a reply, if that session made the
// request being handled. Any error means that nobody got the message, which the
// empty Delivery says.
func (f *Flow) send(session string, m *broker.Message, r *broker.Request) broker.Delivery {
	var d broker.Delivery
	var err error
	if r != nil && r.Session == session {
		d, err = r.Reply(context.Background(), m)
	} else {
		d, err = f.b.PublishToSession(context.Background(), session, m)
	}
	if err != nil { // the session or the broker has ended
		return broker.Delivery{}
	}
	return d
}
