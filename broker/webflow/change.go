package webflow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// A decision makes the next record of an operation out of the present one,
// which it does not change: a new Record, ended to delete the operation, or nil
// to leave it as it is. It runs with the lock, and again each time that another
// node was faster. It may permit something on the strength of a record that is
// no longer the latest, because then the Store does not take the next one. If
// it refuses with an error, it is asked once more with the record as the Store
// has it.
type decision func(now *Record) (next *Record, err error)

// ended is the decision to delete an operation.
var ended = new(Record)

// change asks decide what becomes of op, and stores that. It returns the record
// that was written (for ended, the one that was deleted), or nil if there was
// nothing to write. The caller has the lock, which change releases while the
// Store works. Afterwards op may have ended, which is ErrUnknown.
func (f *Flow) change(ctx context.Context, op *operation, decide decision) (*Record, error) {
	fresh := false
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		if err := f.present(op); err != nil {
			return nil, err
		}
		now := op.rec
		next, err := decide(now)
		switch {
		case err != nil && fresh:
			return nil, err
		case err != nil:
			if err := f.refresh(ctx, op); err != nil {
				return nil, err
			}
			fresh = true
			continue
		case next == nil || next != ended && *next == *now:
			return nil, nil
		}
		err = f.write(ctx, op, now, next)
		switch {
		case err == nil && next == ended:
			return now, nil
		case err == nil:
			return next, nil
		case !errors.Is(err, ErrConflict):
			return nil, err
		}
		if err := f.refresh(ctx, op); err != nil {
			return nil, err
		}
		fresh = true
		// A write whose answer was lost may have been what it lost against.
		if op.rec.same(next) {
			op.home = true
			f.reschedule(op)
			return op.rec, nil
		}
		f.sleep(ctx, pause)
	}
}

// The pauses between attempts of which each lost against another node. The
// first ones are not worth a pause.
const (
	firstPause = 100 * time.Microsecond
	lastPause  = 100 * time.Millisecond
)

// sleep waits. The caller has the lock, which sleep releases.
func (f *Flow) sleep(ctx context.Context, d time.Duration) {
	f.mu.Unlock()
	defer f.mu.Lock()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done(): // which the Store says, too
	}
}

// present returns an error if op has ended.
func (f *Flow) present(op *operation) error {
	switch {
	case f.closed:
		return ErrClosed
	case op.ended():
		return ErrUnknown
	}
	return nil
}

// write stores the next record of op. The caller has the lock, which write
// releases. Whatever comes to this node meanwhile, write attends to it.
func (f *Flow) write(ctx context.Context, op *operation, now, next *Record) error {
	op.writing++
	f.mu.Unlock()
	var err error
	if next == ended {
		err = f.o.Store.Delete(ctx, now)
	} else {
		err = f.o.Store.Update(ctx, next)
	}
	f.mu.Lock()
	op.writing--
	if f.closed {
		return ErrClosed
	}
	switch {
	case err == nil:
		f.storeWorks()
		if op.ended() { // meanwhile
			break
		}
		if next == ended {
			f.remove(op)
		} else {
			op.home = true
			f.replace(op, next)
			f.reschedule(op)
		}
	case errors.Is(err, ErrConflict), errors.Is(err, ErrExists):
	case errors.Is(err, ErrUnknown):
		if !op.ended() {
			f.remove(op)
		}
	default:
		err = f.unavailable(err)
	}
	if reported := err == nil && next.Number != now.Number && next != ended; op.hasNews() && !reported {
		f.attendLater(op) // who reports a result hands it out
	}
	f.flushNotices()
	return err
}

// create stores a new operation. The caller has the lock, which create
// releases. The error is ErrExists if there is such an operation already.
func (f *Flow) create(ctx context.Context, r *Record) (*operation, error) {
	if f.byWebSocketID.size()+f.creating >= f.o.MaxOperations {
		return nil, ErrFull
	}
	f.creating++
	f.mu.Unlock()
	err := f.o.Store.Create(ctx, r)
	f.mu.Lock()
	f.creating--
	switch {
	case f.closed:
		return nil, ErrClosed
	case errors.Is(err, ErrExists):
		return nil, ErrExists
	case err != nil:
		return nil, f.unavailable(err)
	}
	f.storeWorks()
	op := f.apply(r)
	if op == nil { // another node has ended it already
		return nil, ErrUnknown
	}
	op.home = true
	f.reschedule(op)
	return op, nil
}

// refresh reads op from the Store. The caller has the lock, which refresh
// releases.
func (f *Flow) refresh(ctx context.Context, op *operation) error {
	id := op.rec.WebSocketID
	now, err := f.read(ctx, func(ctx context.Context) (*Record, error) { return f.o.Store.Get(ctx, id) })
	if err == nil && now != op {
		err = f.present(op) // it was deleted, and perhaps announced anew
	}
	if errors.Is(err, ErrUnknown) && !op.ended() {
		f.remove(op)
	}
	return err
}

// read reads a record from the Store, and returns its operation. The caller has
// the lock, which read releases.
func (f *Flow) read(ctx context.Context, get func(context.Context) (*Record, error)) (*operation, error) {
	f.mu.Unlock()
	r, err := get(ctx)
	f.mu.Lock()
	switch {
	case f.closed:
		return nil, ErrClosed
	case errors.Is(err, ErrUnknown):
		return nil, ErrUnknown
	case err != nil:
		return nil, f.unavailable(err)
	}
	f.storeWorks()
	op := f.apply(r)
	if op == nil {
		return nil, ErrUnknown
	}
	if op.hasNews() {
		f.attendLater(op)
	}
	f.flushNotices()
	return op, nil
}

// storeTimeout is how long a call of a Flow waits for the Store, at least, if
// its own context does not end before.
const storeTimeout = 5 * time.Second

// patience is a context that ends when nobody should wait for the Store any
// longer.
type patience struct {
	context.Context
	cancel context.CancelFunc
	until  int64 // when a new one is due, on the clock of Flow.now
}

// patient returns a context that ends storeTimeout from now, or up to a second
// later: the calls of a second share one, because a timer for each would cost
// as much as the call. The caller has the lock.
func (f *Flow) patient() context.Context {
	if now := f.now(); now >= f.patience.until {
		f.patience.Context, f.patience.cancel = context.WithTimeout(f.ctx, storeTimeout+time.Second)
		f.patience.until = now + int64(time.Second)
	}
	return f.patience.Context
}

// bounded limits how long a call with this context waits for the Store. The
// caller has the lock.
func (f *Flow) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Done() == nil {
		return f.patient(), func() {}
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	stop := context.AfterFunc(f.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// unavailable wraps an error of the Store, and logs it unless the caller has
// given up. Close ends the contexts of all calls, so that what fails after it
// fails with ErrClosed. The caller has the lock.
func (f *Flow) unavailable(err error) error {
	if f.closed {
		return ErrClosed
	}
	if !errors.Is(err, context.Canceled) {
		f.storeFails(err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// storeFails counts and logs a failure of the Store: the first one at once, and
// then from time to time. That it has no room is no failure, but logged as
// often. The caller has the lock.
func (f *Flow) storeFails(err error) {
	now := f.now()
	if full, ok := errors.AsType[*auth.Refusal](err); ok { // it works, but has no room
		if f.fullLogged == 0 || now-f.fullLogged >= int64(failureLogPause) {
			f.fullLogged = now
			f.o.Logger.Warn("the store of operations has no room for another one: it is not announced, and no page can register for it", "error", full)
		}
		return
	}
	f.failures++
	if f.failures == 1 || now-f.failureLogged >= int64(failureLogPause) {
		f.failureLogged = now
		f.o.Logger.Error("the store of operations fails: pages cannot register, and results are refused", "error", err, "failures", f.failures)
	}
}

// failureLogPause is the time between two entries in the log while the Store
// fails.
const failureLogPause = 10 * time.Second

// storeWorks notes that the Store has answered. The caller has the lock.
func (f *Flow) storeWorks() {
	if f.failures > 0 {
		f.o.Logger.Info("the store of operations works again", "failures", f.failures)
		f.failures = 0
	}
}
