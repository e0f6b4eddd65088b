package webflow

import (
	"context"
	"errors"
	"fmt"
	"math"
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
// reply to its registration or an earlier result), or if the page is connected
// to another node, Notify waits for it, for up to a second.
//
// A terminal result may be reported any number of times; it remains one result.
// A different result after it gives ErrDecided. The other errors are ErrResult,
// ErrUnknown, ErrTooOften, ErrClosed, ErrUnavailable, ErrFull in the mode
// [Open], and that of ctx.
func (f *Flow) Notify(ctx context.Context, operationID, result string) (delivered bool, err error) {
	derived := f.derive(operationID)
	if !validText(operationID, auth.MaxOperationBytes) {
		derived = ""
	}
	return f.notify(ctx, result, derived, operationID, func(ctx context.Context) (*operation, error) {
		return f.lookUpID(ctx, operationID, derived)
	})
}

// NotifyWebSocketID is like [Flow.Notify], but names the operation by its
// webSocketId.
func (f *Flow) NotifyWebSocketID(ctx context.Context, webSocketID, result string) (delivered bool, err error) {
	if !validText(webSocketID, f.o.MaxIDBytes) {
		webSocketID = ""
	}
	return f.notify(ctx, result, webSocketID, "", func(ctx context.Context) (*operation, error) {
		return f.lookUpWebSocketID(ctx, webSocketID)
	})
}

// notify reports the result of an operation that lookUp finds. In the mode Open
// an unknown one is created, with this webSocketId and id.
func (f *Flow) notify(ctx context.Context, text, webSocketID, id string, lookUp func(context.Context) (*operation, error)) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	m, ok := f.results[text]
	if !ok {
		return false, ErrResult
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false, ErrClosed
	}
	if webSocketID == "" {
		return false, ErrUnknown
	}
	ctx, done := f.bounded(ctx)
	defer done()
	for {
		op, err := lookUp(ctx)
		switch {
		case err == nil:
			err = f.report(ctx, op, m, id, webSocketID)
		case errors.Is(err, ErrUnknown) && f.o.Registration == Open:
			r := f.unannounced(webSocketID)
			r.ID = id
			r.report(m, f.number())
			op, err = f.create(ctx, r)
			if errors.Is(err, ErrExists) && ctx.Err() == nil { // a page was faster, or another result
				continue
			}
		}
		if err != nil {
			return false, err
		}
		number := op.rec.Number
		f.handOut(op, nil)
		f.waitForOther(ctx, op, number)
		f.waitForCallbacks()
		return op.offered && op.rec.Number == number, nil
	}
}

// report records a result, unless it is the one that op has already. The caller
// has the lock, which report releases.
func (f *Flow) report(ctx context.Context, op *operation, m meaning, id, derived string) error {
	number := f.number()
	_, err := f.change(ctx, op, func(now *Record) (*Record, error) {
		next := op.copy()
		if id != "" && now.ID == "" { // unknown so far if a page registered in the mode Open
			next.named(id, derived)
		}
		switch {
		case now.Terminal && now.Result == m.text: // reported before
		case now.Terminal:
			return nil, ErrDecided
		case !m.terminal && int(now.Interims) >= f.o.MaxInterim:
			return nil, fmt.Errorf("%w: more than %d interim results", ErrTooOften, f.o.MaxInterim)
		case now.Number == number: // recorded before, although the Store did not say so
		default:
			next.report(m, number)
			f.extend(op, next)
		}
		return next, nil
	})
	return err
}

// extend gives the page time to fetch a terminal result.
func (f *Flow) extend(op *operation, next *Record) {
	if next.Terminal && int64(f.o.TTL) > op.expires-f.now() {
		next.Expires = wall() + int64(f.o.TTL)
	}
}

// otherWait limits how long Notify waits for another goroutine.
const otherWait = time.Second

// waitForOther waits while somebody else is about to hand out the result with
// this number: another goroutine, which is answering the registration, which
// must come first, or sending through the broker; or the node that the page is
// connected to. The caller has the lock.
func (f *Flow) waitForOther(ctx context.Context, op *operation, number uint64) {
	busy := func() bool {
		switch {
		case f.closed, op.rec.Number != number, op.offered:
			return false
		case op.at == nil:
			return op.delivering || op.rec.registered()
		}
		return op.delivering || !op.ready
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

// handOut sends the pending result of op, if there is one, to the client that
// waits here, if there is one. Only one goroutine at a time does so for an
// operation. A second one sets op.again and leaves; the first then looks again,
// so that it does not miss a SUBSCRIBE or a newer result that came while it was
// sending. r is the request being handled, nil outside of one. The caller has
// the lock, which handOut releases.
func (f *Flow) handOut(op *operation, r *broker.Request) {
	if op.delivering {
		op.again = true
		return
	}
	op.delivering = true
	for op.hasNews() && !f.closed {
		op.again, op.pending = false, false
		c, sent, before := op.at, op.rec, op.offered
		m := f.delivery(op, sent)
		f.mu.Unlock()
		d := f.send(c.session, m, r)
		f.mu.Lock()
		newest := op.rec.Number == sent.Number
		if newest && op.rec.Registration == sent.Registration {
			op.delivered(d)
		}
		switch {
		case d.Subscriptions == 0:
		case newest:
			f.offered(op, sent)
		case !before: // there is a newer result already
			f.post(f.o.Delivered, event(sent))
		}
		if d.Subscriptions == 0 && !op.again {
			break
		}
	}
	op.delivering = false
	f.handedOut.Broadcast()
	f.save(op)
}

// offered notes that the result of op was handed to a session. The caller has
// the lock.
func (f *Flow) offered(op *operation, sent *Record) {
	if !op.offered {
		op.offered = true
		f.post(f.o.Delivered, event(sent))
	}
}

// delivery builds the message that carries the result of op. The caller has the
// lock.
func (f *Flow) delivery(op *operation, sent *Record) *broker.Message {
	m := message(authorizationDestination, notification(sent.WebSocketID, sent.Result))
	m.ID = messageID(sent.Number)
	m.Redelivered = op.offered
	m.Settled = func(_ string, o broker.Outcome) { f.settled(op, sent.Registration, sent.Number, o) }
	return m
}

// delivered records the outcome of a delivery to the registered session. Its
// acknowledgements may have come first.
func (op *operation) delivered(d broker.Delivery) {
	if d.Subscriptions == 0 {
		op.pending = true
		return
	}
	op.outstanding = int16(min(int(op.outstanding)+d.Unacknowledged, math.MaxInt16))
	if d.Unacknowledged > 0 {
		op.reoffer()
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
