package workqueue

import "math"

// entry is one stored message. It is kept by value, in a queue's waiting list
// or in the Delivery that handed it out.
type entry[M any] struct {
	message   M
	seq       uint64 // position in the order of the queue
	size      int64
	expires   int64  // in the unit of Expiry.Now, 0 = never
	owner     *Owner // whose share it counts against, nil = none
	attempts  int32  // deliveries that count as attempts
	lost      uint32 // dropped before the delivery, see Delivery.Lost
	since     uint32 // when it was put, in ageStep; in a queue that is no Backlog see Store.stamp
	refusedBy uint32 // id of the consumer that refused it, 0 = none; a pointer would keep closed consumers in memory
}

// untouched is the refusedBy of a message whose consumer closed, probably
// before it came to the message: the message was delivered before, but that
// delivery does not count. No consumer has this id.
const untouched = math.MaxUint32

// waiting is the list of messages that no consumer holds, in the order of their
// seq. A returned message was delivered before all fresh ones, so the returned
// ones come first, unless [Store.Feed] has added some among the fresh ones.
type waiting[M any] struct {
	returned heap[M]
	fresh    fifo[M]
}

func (w *waiting[M]) len() int { return len(w.returned) + w.fresh.n }

// front returns the next message to deliver. The pointer is valid until the
// list changes. The list must not be empty.
func (w *waiting[M]) front() *entry[M] {
	if len(w.returned) > 0 && w.returnedFirst() {
		return &w.returned[0]
	}
	return w.fresh.front()
}

// insert adds an entry that was taken out, at its place.
func (w *waiting[M]) insert(e entry[M]) {
	if w.fresh.n == 0 || e.seq < w.fresh.front().seq {
		w.returned.push(e)
		return
	}
	w.fresh.insert(e)
}

// remove removes the entries for which dead returns true. It calls dead once for
// each entry, the oldest first.
func (w *waiting[M]) remove(dead func(*entry[M]) bool) {
	w.returned.remove(dead)
	w.fresh.remove(dead)
}

// pop removes the front message.
func (w *waiting[M]) pop() {
	if len(w.returned) > 0 && w.returnedFirst() {
		w.returned.pop()
		return
	}
	w.fresh.pop()
}

// returnedFirst reports whether the first of the returned messages, of which
// there must be one, comes before the fresh ones.
func (w *waiting[M]) returnedFirst() bool {
	return w.fresh.n == 0 || w.returned[0].seq <= w.fresh.front().seq
}
