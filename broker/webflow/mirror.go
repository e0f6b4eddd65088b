package webflow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// This file keeps the Flow's view of all operations up to date with the Store.
// Each record comes here, whether this node wrote it, read it, or was told of
// it, and in any order: the greatest revision counts.

// watch follows the Store until Close. It sends the error of the first attempt
// to started, or nil as soon as the view is complete.
func (f *Flow) watch(started chan<- error) {
	for {
		f.mu.Lock()
		f.seen, f.replayed, f.reported = 0, 0, make(map[*operation]struct{})
		f.mu.Unlock()
		err := f.o.Store.Watch(f.ctx, func(c Change) {
			if c.Current && started != nil {
				started <- nil
				started = nil
			}
			f.changed(c)
		})
		if f.ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("it has ended the watch")
		}
		if started != nil {
			started <- err
			return
		}
		f.mu.Lock()
		f.storeFails(fmt.Errorf("watch: %w", err))
		f.mu.Unlock()
		select {
		case <-time.After(watchPause):
		case <-f.ctx.Done():
			return
		}
	}
}

// watchPause is the time before a Watch that failed is repeated.
const watchPause = time.Second

// changed handles what the Store reports. It must be quick and must not call
// the Store: what it causes is left to attend, or to the goroutine here that is
// writing this operation and that goes on when the Store has answered.
func (f *Flow) changed(c Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
	case c.Current:
		f.forgetDeleted()
	case c.Deleted:
		f.seen = max(f.seen, c.Record.Revision)
		if op := f.byWebSocketID.get(c.Record.WebSocketID); op != nil && op.rec.Revision < c.Record.Revision {
			f.remove(op)
			f.handedOut.Broadcast()
		}
	default:
		f.replaced(c.Record)
	}
}

// replaced handles a record that the Store reports. The caller has the lock.
func (f *Flow) replaced(r *Record) {
	op := f.byWebSocketID.get(r.WebSocketID)
	switch {
	case op == nil:
		op = f.add(r)
	case op.rec.Revision < r.Revision:
		op.home = op.home && op.writing > 0 // otherwise another node wrote it
		f.replace(op, r)
	}
	f.seen = max(f.seen, r.Revision)
	if f.reported != nil {
		f.reported[op] = struct{}{}
		f.replayed = max(f.replayed, r.Revision)
	}
	if op != nil && op.writing == 0 && (op.hasNews() || len(f.notices) > 0) {
		f.attendLater(op)
	}
}

// forgetDeleted removes the operations that a repeated Watch did not report:
// they were deleted before it began. It spares those that are newer than all
// that was reported. The caller has the lock.
func (f *Flow) forgetDeleted() {
	for op := range f.byWebSocketID.all() {
		if _, exists := f.reported[op]; !exists && op.rec.Revision <= f.replayed {
			f.remove(op)
		}
	}
	f.reported = nil
}

// apply takes a record into the view, unless the view is newer. It returns the
// operation, or nil if that has ended since. The caller has the lock.
func (f *Flow) apply(r *Record) *operation {
	op := f.byWebSocketID.get(r.WebSocketID)
	if op == nil {
		return f.add(r)
	}
	f.replace(op, r)
	return op
}

// add takes up an operation that is not in the view, unless its end was
// reported already. The caller has the lock.
func (f *Flow) add(r *Record) *operation {
	if r.Revision <= f.seen {
		return nil
	}
	op := &operation{rec: r, offered: r.Offered, acked: r.Acked}
	f.byWebSocketID.put(op)
	f.name(op)
	f.setDeadlines(op)
	f.enter(op)
	return op
}

// replace gives op its next record, unless it has a newer one. The caller has
// the lock.
func (f *Flow) replace(op *operation, r *Record) {
	old := op.rec
	if r.Revision <= old.Revision {
		return
	}
	op.rec = r
	if r.Named && !old.Named {
		f.name(op)
	}
	if !r.Unannounced {
		f.giveBack(op)
	}
	if op.at != nil && op.at.session != r.Session {
		f.supersede(op)
	}
	switch {
	case r.Number != old.Number:
		op.offered, op.acked, op.refused, op.outstanding = r.Offered, r.Acked, false, 0
		op.pending = !r.Acked
	case r.Registration != old.Registration:
		op.offered, op.acked = op.offered || r.Offered, r.Acked
	default: // this node may know more than it could write so far
		op.offered, op.acked = op.offered || r.Offered, op.acked || r.Acked
	}
	op.pending = op.pending && !op.acked
	if r.Expires != old.Expires || r.Abandon != old.Abandon {
		f.setDeadlines(op)
	}
	f.reschedule(op)
	f.handedOut.Broadcast()
}

// setDeadlines translates the deadlines of the record to the clock of this
// process, which is not set back or forth.
func (f *Flow) setDeadlines(op *operation) {
	now, here := time.Now(), auth.Now()
	translate := func(wall int64) int64 { return int64(now.Sub(f.start)) + 1 + wall - here.UnixNano() }
	op.expires, op.grace = translate(op.rec.Expires), 0
	if op.rec.Abandon != 0 {
		op.grace = translate(op.rec.Abandon)
	}
}

// name indexes op by its id, if the id does not lead to its webSocketId.
func (f *Flow) name(op *operation) {
	if op.rec.Named {
		f.byID[op.rec.ID] = op
	}
}

// remove forgets an operation. The caller has the lock.
func (f *Flow) remove(op *operation) {
	f.giveBack(op)
	f.byWebSocketID.remove(op.rec.WebSocketID)
	if f.byID[op.rec.ID] == op {
		delete(f.byID, op.rec.ID)
	}
	delete(f.unsavedLosses, op)
	delete(f.polled, op)
	f.leave(op)
	if op.at != nil {
		f.release(op)
	}
}

// find returns the operation with this id as far as this node knows, or nil.
// Callers compute derived before they take the lock, because hashing takes
// longer than all else. The caller has the lock.
func (f *Flow) find(id, derived string) *operation {
	if op := f.byID[id]; op != nil {
		return op
	}
	op := f.byWebSocketID.get(derived)
	if op == nil || op.rec.ID != "" && op.rec.ID != id {
		return nil
	}
	return op
}

// lookUpID returns the operation with this id, or ErrUnknown. The caller has
// the lock, which lookUpID may release.
func (f *Flow) lookUpID(ctx context.Context, id, derived string) (*operation, error) {
	return f.lookUp(ctx, func() *operation { return f.find(id, derived) }, func(ctx context.Context) (*Record, error) {
		r, err := f.o.Store.Find(ctx, id)
		if !errors.Is(err, ErrUnknown) {
			return r, err
		}
		r, err = f.o.Store.Get(ctx, derived)
		if err == nil && r.ID != "" && r.ID != id {
			return nil, ErrUnknown
		}
		return r, err
	})
}

// lookUpWebSocketID returns the operation with this webSocketId, or ErrUnknown.
// The caller has the lock, which lookUpWebSocketID may release.
func (f *Flow) lookUpWebSocketID(ctx context.Context, webSocketID string) (*operation, error) {
	return f.lookUp(ctx, func() *operation { return f.byWebSocketID.get(webSocketID) }, func(ctx context.Context) (*Record, error) {
		return f.o.Store.Get(ctx, webSocketID)
	})
}

// lookUp finds an operation in the view, or else in the Store: this node may
// not have heard yet what another one has just announced. An operation whose
// time is over has ended for this node, although another one may not have
// ended it yet.
func (f *Flow) lookUp(ctx context.Context, view func() *operation, get func(context.Context) (*Record, error)) (*operation, error) {
	for ctx.Err() == nil {
		if f.closed {
			return nil, ErrClosed
		}
		op := view()
		if op == nil {
			var err error
			if op, err = f.read(ctx, get); err != nil {
				return nil, err
			}
		}
		if op.expires > f.now() {
			return op, nil
		}
		if err := f.expire(ctx, op); err != nil && !errors.Is(err, ErrUnknown) {
			return nil, err
		}
	}
	return nil, f.unavailable(ctx.Err())
}

// exists reads op from the Store and reports whether it still exists. The caller
// has the lock, which exists releases.
func (f *Flow) exists(ctx context.Context, op *operation) (bool, error) {
	err := f.refresh(ctx, op)
	if err == nil && op.expires <= f.now() {
		err = f.expire(ctx, op)
	}
	if err == nil {
		err = f.present(op)
	}
	if errors.Is(err, ErrUnknown) {
		return false, nil
	}
	return err == nil, err
}

// attendLater leaves it to another goroutine to hand out the result of op and
// the notices to superseded sessions. The caller has the lock.
func (f *Flow) attendLater(op *operation) {
	f.todo = append(f.todo, op)
	if f.attending < maxAttending {
		f.attending++
		f.background.Go(f.attend)
	}
}

// maxAttending limits the goroutines that attend to what other nodes changed:
// each may wait for the Store.
const maxAttending = 16

func (f *Flow) attend() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.todo) > 0 && !f.closed {
		op := f.todo[0]
		f.todo[0] = nil
		if f.todo = f.todo[1:]; len(f.todo) == 0 {
			f.todo = nil
		}
		f.flushNotices()
		f.handOut(op, nil)
		f.waitForCallbacks()
	}
	f.attending--
}

// hasNews reports whether there is a result to hand out to a session here. The
// caller has the lock.
func (op *operation) hasNews() bool { return op.pending && op.ready && op.at != nil }
