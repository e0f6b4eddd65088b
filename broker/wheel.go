package broker

// wheelSlots is the number of slots: with a tick of 250 ms a turn takes two
// minutes. Entries due in a later turn are skipped.
const wheelSlots = 512

// removed marks a session that has been removed from the wheel permanently.
const removed = -1

// A wheel holds sessions by the tick of their next check. Its linked lists use
// fields of the sessions, so all operations need no allocation and take
// constant time.
type wheel struct {
	slots [wheelSlots]*session
	now   int64 // the last tick that was swept
}

// wheelSlot is a session's position in the wheel; tick is 0 if it is in no
// slot.
type wheelSlot struct {
	prev, next *session
	tick       int64
}

// insert moves s to the slot of a tick; a tick in the past becomes the next
// one.
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

// advance removes and returns the sessions that are due up to a tick.
func (w *wheel) advance(to int64) (due []*session) {
	from := max(w.now+1, to-wheelSlots+1) // one turn visits all slots
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
