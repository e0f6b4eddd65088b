package roster

import "math"

// Event is what has changed in a room since the event before. To apply it, add
// those who have joined, then remove those who have left. A user who has joined
// may be known from a [Page] already.
type Event struct {
	Room      string
	Number    uint64
	Joined    []Joined
	Left      []string
	Users     int // in the room after this
	Anonymous int // sessions without a name in the room after this
}

// Joined is a user who has joined.
type Joined struct {
	User  string
	Since int64
}

// textLength returns the length of a name in JSON, without its quotes.
func textLength(name string) int {
	n := len(name)
	for _, c := range name {
		switch {
		case c == '"' || c == '\\':
			n++
		case c == '\u2028' || c == '\u2029':
			n += 3
		case c < ' ':
			n += 5
		}
	}
	return n
}

// nameCost is about how much text an event has for a user besides the name.
const nameCost = 64

// Tick returns the events of the rooms that have changed and are watched. Its
// time is proportional to the number of changes.
func (r *Rooms) Tick(now int64) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	for m := r.leaving.first; m != nil && m.until <= now; m = r.leaving.first {
		r.leaving.remove(m)
		m.place = due
		m.room.due = append(m.room.due, m)
		r.soil(m.room)
	}
	r.fade(now)
	rooms := r.dirty
	r.dirty = nil
	for _, x := range rooms {
		x.soiled = 0
	}
	var events []Event
	for _, x := range rooms {
		if e, changed := r.settle(x); changed && x.watches > 0 {
			events = append(events, e)
		}
		if len(x.joined) > 0 || len(x.due) > 0 {
			r.soil(x)
		}
		r.close(x)
	}
	return events
}

// settle announces changes of a room, as many as one event holds; all of them if
// nobody watches.
func (r *Rooms) settle(x *room) (e Event, changed bool) {
	room := budget{math.MaxInt, math.MaxInt}
	if x.watches > 0 {
		room = budget{r.o.Changes, r.o.Bytes()}
	}
	n := 0
	for ; n < len(x.joined); n++ {
		m := x.joined[n]
		if m.place == gone {
			continue
		}
		if !room.takes(m) {
			break
		}
		e.Joined = append(e.Joined, Joined{m.user, m.since})
	}
	x.joined = rest(x.joined, n)
	for n = 0; n < len(x.due); n++ {
		m := x.due[n]
		if m.place != due {
			continue
		}
		if !room.takes(m) {
			break
		}
		e.Left = append(e.Left, m.user)
		r.drop(m)
	}
	x.due = rest(x.due, n)
	if len(e.Joined) == 0 && len(e.Left) == 0 && x.anonymous == x.announced && !x.skipped {
		return e, false
	}
	if x.skipped {
		x.skipped = false
		x.number++
	}
	x.number++
	x.announced = x.anonymous
	e.Room, e.Number, e.Users, e.Anonymous = x.name, x.number, len(x.members), x.anonymous
	return e, true
}

// budget is what fits into an event.
type budget struct{ names, bytes int }

// takes reports whether one more user fits.
func (b *budget) takes(m *member) bool {
	if b.names <= 0 || b.bytes <= 0 {
		return false
	}
	b.names--
	b.bytes -= textLength(m.user) + nameCost
	return true
}

// rest returns a list without its first n members, which can then be freed.
func rest(l []*member, n int) []*member {
	if n == len(l) {
		return nil
	}
	clear(l[:n])
	return l[n:]
}
