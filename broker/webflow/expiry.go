package webflow

import (
	"container/heap"
	"time"
)

// maxBurst is the maximum number of operations to handle while holding the lock
// once.
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

func (op *operation) setDue() {
	op.due = op.expires
	if op.grace != 0 {
		op.due = min(op.due, op.grace)
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

func (f *Flow) leave(op *operation) { heap.Remove(&f.schedule, int(op.index)) }

// arm sets the timer for the next operation due. If that operation has moved to
// a later time, arm leaves the timer as it is; one tick then finds nothing due.
func (f *Flow) arm() {
	if len(f.schedule) == 0 || f.closed {
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

// tick abandons and expires the operations that are due.
func (f *Flow) tick() {
	f.mu.Lock()
	f.armed = 0
	var results []*operation
	now := f.now()
	for n := 0; n < maxBurst && len(f.schedule) > 0 && f.schedule[0].due <= now; n++ {
		op := f.schedule[0]
		switch {
		case op.due < op.expires:
			f.abandon(op)
		case f.expire(op):
			results = append(results, op)
		}
	}
	f.arm()
	f.waitForCallbacks()
	f.mu.Unlock()
	for _, op := range results {
		f.deliver(op, nil)
	}
}

// expire ends an operation, and reports whether it set a result to deliver. The
// caller has the lock.
func (f *Flow) expire(op *operation) bool {
	if !op.result.terminal {
		f.post(f.o.Expired, f.event(op, op.at))
		if f.o.ExpiredResult != "" {
			f.report(op, f.results[f.o.ExpiredResult])
			return true
		}
	}
	f.remove(op)
	return false
}
