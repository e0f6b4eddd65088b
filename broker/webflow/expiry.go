package webflow

import (
	"container/heap"
	"context"
	"time"
)

// maxBurst is the maximum number of operations to handle at once.
const maxBurst = 256

// schedule is a heap of all operations, the next due first.
type schedule []*operation

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due < s[j].due }
func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = int32(i), int32(j)
}

// Push implements heap.Interface.
func (s *schedule) Push(x any) {
	op := x.(*operation)
	op.index = int32(len(*s))
	*s = append(*s, op)
}

// Pop implements heap.Interface.
func (s *schedule) Pop() any {
	last := len(*s) - 1
	op := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	return op
}

// elsewhere is how long a node waits before it acts on an operation that another
// node is there for: it acts only if that node has gone.
const elsewhere = 2 * time.Second

func (op *operation) setDue() {
	op.due = op.expires
	if op.grace != 0 {
		op.due = min(op.due, op.grace)
	}
	if !op.home {
		op.due += int64(elsewhere)
	}
}

// enter, reschedule and leave maintain the schedule. The caller has the lock.
func (f *Flow) enter(op *operation) {
	op.setDue()
	heap.Push(&f.schedule, op)
	f.arm()
}

func (f *Flow) reschedule(op *operation) {
	before := op.due
	if op.setDue(); op.due != before {
		heap.Fix(&f.schedule, int(op.index))
		f.arm()
	}
}

func (f *Flow) leave(op *operation) {
	heap.Remove(&f.schedule, int(op.index))
	op.index = -1
}

// postpone has this node look at op again, because the Store did not take what
// it had to write. The caller has the lock.
func (f *Flow) postpone(op *operation) {
	if f.present(op) != nil {
		return
	}
	op.due = f.now() + int64(retryPause)
	heap.Fix(&f.schedule, int(op.index))
	f.arm()
}

// retryPause is the time between attempts to write something while the Store
// fails.
const retryPause = time.Second

// arm sets the timer for the next operation due. If that operation has moved to
// a later time, arm leaves the timer as it is; one tick then finds nothing due.
func (f *Flow) arm() {
	if len(f.schedule) == 0 || f.closed || f.ticking {
		return
	}
	at := f.schedule[0].due
	if f.armed != 0 && f.armed <= at {
		return
	}
	f.armed = at
	d := time.Duration(at - f.now())
	if f.timer == nil {
		f.timer = time.AfterFunc(d, f.tick)
		return
	}
	f.timer.Reset(d)
}

// tick abandons and expires the operations that are due, and writes what the
// Store did not take before.
func (f *Flow) tick() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = 0
	if f.closed || f.ticking {
		return
	}
	f.ticking = true
	ctx := f.patient()
	now := f.now()
	for n := 0; n < maxBurst && len(f.schedule) > 0 && f.schedule[0].due <= now; n++ {
		op := f.schedule[0]
		f.act(ctx, op)
		if op.due <= now {
			f.postpone(op) // unless it has ended
		}
	}
	f.ticking = false
	f.arm()
	f.waitForCallbacks()
}

// act does what is due for op. What fails is repeated. The caller has the lock,
// which act releases.
func (f *Flow) act(ctx context.Context, op *operation) {
	if c := f.unsavedLosses[op]; c != nil {
		f.lose(ctx, op, c)
	}
	f.save(op)
	if f.present(op) != nil {
		return
	}
	switch now := f.now(); {
	case op.grace != 0 && op.grace <= now && op.grace < op.expires:
		_ = f.abandon(ctx, op)
	case op.expires <= now:
		_ = f.expire(ctx, op)
	default: // there was only something to repeat
		if f.unsavedLosses[op] == nil && !op.unsaved() {
			f.reschedule(op)
		}
	}
}

// expire ends an operation whose time is over, or sets Options.ExpiredResult.
// The caller has the lock, which expire releases.
func (f *Flow) expire(ctx context.Context, op *operation) error {
	var before *Record
	done, err := f.change(ctx, op, func(now *Record) (*Record, error) {
		if op.expires > f.now() { // another node has put it off
			return nil, nil
		}
		before = now
		if now.Terminal || f.o.ExpiredResult == "" {
			return ended, nil
		}
		next := op.copy()
		next.report(f.results[f.o.ExpiredResult], f.number())
		f.extend(op, next)
		return next, nil
	})
	if done == nil {
		return err
	}
	if !before.Terminal {
		f.post(f.o.Expired, event(before))
	}
	f.handOut(op, nil)
	return err
}
