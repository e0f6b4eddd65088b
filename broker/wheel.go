package broker

// wheelSlots is the circumference: with a tick of 250 ms a turn takes two
// minutes. What is due later is passed over once a turn.
const wheelSlots = 512

// removed marks a session that has left the wheel for good.
const removed = -1

// A wheel holds sessions by the tick of their next check, in linked lists that
// go through the sessions themselves: no allocation, constant time.
type wheel struct {
	slots [wheelSlots]*session
	now   int64 // the last tick that was swept
}

// wheelSlot is a session's place; tick is 0 while it lies in none.
type wheelSlot struct {
	prev, next *session
	tick       int64
}

// insert puts s, wherever it lies, at a tick; one that has passed is the next.
func (w *wheel) insert(s *session, tick int64) {
	if s.slot.tick == removed {
		return
	}
	w.unlink(s)
	tick = max(tick, w.now+1)
	head := &w.slots[tick%wheelSlots]
	s.slot = wheelSlot{next: *head, tick: tick}
	if *head != nil {
		(*head).slot.prev = s
	}
	*head = s
}

func (w *wheel) unlink(s *session) {
	if s.slot.tick <= 0 {
		return
	}
	if s.slot.prev != nil {
		s.slot.prev.slot.next = s.slot.next
	} else {
		w.slots[s.slot.tick%wheelSlots] = s.slot.next
	}
	if s.slot.next != nil {
		s.slot.next.slot.prev = s.slot.prev
	}
	s.slot = wheelSlot{}
}

// advance takes out and returns what is due up to a tick.
func (w *wheel) advance(to int64) (due []*session) {
	from := max(w.now+1, to-wheelSlots+1) // one turn visits everything
	for t := from; t <= to; t++ {
		for s := w.slots[t%wheelSlots]; s != nil; {
			following := s.slot.next
			if s.slot.tick <= to {
				w.unlink(s)
				due = append(due, s)
			}
			s = following
		}
	}
	w.now = max(w.now, to)
	return due
}
