package clock

// wheelSlots is the number of slots: with a tick of 250 ms a turn takes two
// minutes. Entries due in a later turn are skipped.
const wheelSlots = 512

// removed marks an entry that has been removed from the wheel permanently.
const removed = -1

// An Entry is the place of a T in the wheel of a [Sweeper]: a T holds one, and
// the function given to [New] finds it. It takes 24 bytes, and its zero value
// is ready to use. The lock of the Sweeper guards it.
type Entry[T any] struct {
	prev, next *T
	tick       int64 // 0 if it is in no slot
}

// A wheel holds values by the tick of their next check. Its linked lists use
// the entries in the values, so all operations need no allocation and take
// constant time.
type wheel[T any] struct {
	entry func(*T) *Entry[T]
	slots [wheelSlots]*T
	now   int64 // the last tick that was swept
	held  int   // values in all slots
}

// insert moves v to the slot of a tick; a tick in the past becomes the next
// one.
func (w *wheel[T]) insert(v *T, tick int64) {
	e := w.entry(v)
	if e.tick == removed {
		return
	}
	w.unlink(v)
	tick = max(tick, w.now+1)
	head := &w.slots[tick%wheelSlots]
	*e = Entry[T]{next: *head, tick: tick}
	if *head != nil {
		w.entry(*head).prev = v
	}
	*head = v
	w.held++
}

// unlink takes v out of its slot, if it is in one.
func (w *wheel[T]) unlink(v *T) {
	e := w.entry(v)
	if e.tick <= 0 {
		return
	}
	if e.prev != nil {
		w.entry(e.prev).next = e.next
	} else {
		w.slots[e.tick%wheelSlots] = e.next
	}
	if e.next != nil {
		w.entry(e.next).prev = e.prev
	}
	*e = Entry[T]{}
	w.held--
}

// remove takes v out of the wheel permanently.
func (w *wheel[T]) remove(v *T) {
	w.unlink(v)
	w.entry(v).tick = removed
}

// advance removes and returns the values that are due up to a tick.
func (w *wheel[T]) advance(to int64) (due []*T) {
	from := max(w.now+1, to-wheelSlots+1) // one turn visits all slots
	for t := from; t <= to; t++ {
		for v := w.slots[t%wheelSlots]; v != nil; {
			e := w.entry(v)
			following := e.next
			if e.tick <= to {
				w.unlink(v)
				due = append(due, v)
			}
			v = following
		}
	}
	w.now = max(w.now, to)
	return due
}
