package workqueue

import "math"

// entry is one stored message. It lives by value: in a queue's waiting list, or in the Delivery that handed it out.
type entry[M any] struct {
	message   M
	seq       uint64 // its place in the order of the queue
	size      int64
	owner     *Owner // whose share it counts for, nil for nobody's
	attempts  int32  // deliveries that count
	refusedBy uint32 // id of the consumer whose Nack sent it back, 0 for none; an id, so that no dead consumer is kept
}

// untouched is the refusedBy of a message that came back from a consumer which went away and probably had not come to
// it: it was delivered before, and that delivery does not count. No consumer has this id.
const untouched = math.MaxUint32

// waiting is the list of messages that nobody holds, in the order of their seq. Whatever was returned had gone out
// before all that is still fresh, so the returned ones always come first.
type waiting[M any] struct {
	returned heap[M]
	fresh    fifo[M]
}

func (w *waiting[M]) len() int { return len(w.returned) + w.fresh.n }

// front is the next message to go out; the pointer is good until the list changes. The list must not be empty.
func (w *waiting[M]) front() *entry[M] {
	if len(w.returned) > 0 {
		return &w.returned[0]
	}
	return w.fresh.front()
}

// pop removes the front.
func (w *waiting[M]) pop() {
	if len(w.returned) > 0 {
		w.returned.pop()
		return
	}
	w.fresh.pop()
}
