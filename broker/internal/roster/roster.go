package roster

import (
	"strings"
	"sync"
	"time"
)

// The memory for a user in a room and for a room, in bytes, besides their names.
const (
	UserCost = 256
	RoomCost = 512
)

// Options configure [Rooms].
type Options struct {
	// Grace is how long a user without sessions stays in a room.
	Grace time.Duration
	// Leaving returns the largest number of users without sessions who are still
	// in a room, and of rooms that sessions without a name have left, in all.
	// Beyond it the user who left first goes at once and without an event, so
	// the room skips a number, and a session without a name has no grace.
	Leaving func() int
	// Changes bounds the names in one event. What does not fit is in the next
	// event.
	Changes int
	// Bytes returns a bound for the text of one event, about.
	Bytes func() int
}

// Rooms are the rooms with somebody in them, and those that are watched. Create
// them with [New]. All methods are safe for concurrent use and take time that
// does not depend on the number of users, except where their comment says
// otherwise.
type Rooms struct {
	o     Options
	grace int64

	mu      sync.Mutex
	rooms   map[string]*room
	users   int    // in all rooms
	seq     uint64 // of the user who came last
	floor   uint64 // number that a new room begins with, beyond those of the rooms that are gone
	dirty   []*room
	leaving list    // users in their grace, in the order in which it ends
	away    int     // users without sessions, in their grace or due
	fading  []*room // rooms that sessions without a name have left
}

// room is one room. It exists while somebody is in it or watches it.
type room struct {
	name    string
	number  uint64 // of the latest event
	members map[string]*member
	order   []*member // in the order in which they came; some have gone
	gone    int       // of order
	joined  []*member // not announced yet
	due     []*member // their grace is over, but it is not announced yet
	watches int

	anonymous int   // sessions without a name, those in their grace included
	announced int   // anonymous in the latest event
	fades     int   // of these, those that leave at fadeAt
	fadesNext int   // of these, those that leave a grace later
	fadeAt    int64 // 0 if the room is not in fading

	soiled  int  // its place in Rooms.dirty, from 1; 0 if the next Tick need not look at it
	skipped bool // a change was not announced
}

// member is a user in a room.
type member struct {
	room       *room
	user       string
	since      int64
	seq        uint64
	until      int64 // end of the grace
	prev, next *member
	sessions   int32
	place      place
}

// place is what a member without sessions waits for.
type place uint8

const (
	staying place = iota
	graced        // in Rooms.leaving
	due           // in room.due
	gone          // no longer in the room
)

// New returns no rooms.
func New(o Options) *Rooms {
	return &Rooms{o: o, grace: int64(o.Grace), rooms: make(map[string]*room)}
}

// Enter adds a session of a user to a room. A user without a name is counted.
// pending is as for [Rooms.Pending].
func (r *Rooms) Enter(name, user string, now int64) (pending bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.open(name)
	if user == "" {
		r.enterAnonymous(x)
		return r.pending()
	}
	m := x.members[user]
	if m == nil {
		m = r.join(x, user, now)
	}
	r.stay(m)
	m.sessions++
	return r.pending()
}

// join adds a user to a room.
func (r *Rooms) join(x *room, user string, now int64) *member {
	r.seq++
	m := &member{room: x, user: strings.Clone(user), since: now, seq: r.seq}
	if x.members == nil {
		x.members = make(map[string]*member)
	}
	x.members[m.user] = m
	x.order = append(x.order, m)
	x.joined = append(x.joined, m)
	r.users++
	r.soil(x)
	return m
}

// stay ends the grace of a user who has come back.
func (r *Rooms) stay(m *member) {
	if m.place == graced {
		r.leaving.remove(m)
	}
	if m.place != staying {
		m.place = staying
		r.away--
	}
}

// Leave removes a session that [Rooms.Enter] has added.
func (r *Rooms) Leave(name, user string, now int64) (pending bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.rooms[name]
	if x == nil {
		return r.pending()
	}
	if user == "" {
		r.leaveAnonymous(x, now)
		return r.pending()
	}
	m := x.members[user]
	if m == nil || m.sessions == 0 {
		return r.pending()
	}
	if m.sessions--; m.sessions == 0 {
		m.place, m.until = graced, now+r.grace
		r.leaving.push(m)
		r.away++
		r.shed()
	}
	return r.pending()
}

// crowded reports whether too many users and rooms are held for nobody's
// session.
func (r *Rooms) crowded(most int) bool { return r.away+len(r.fading) > most }

// shed ends the grace of the users who left first if there are too many. Their
// rooms skip a number.
func (r *Rooms) shed() {
	for most := r.o.Leaving(); r.crowded(most) && r.leaving.first != nil; {
		m := r.leaving.first
		r.leaving.remove(m)
		m.room.skipped = true
		r.soil(m.room)
		r.drop(m)
		r.close(m.room)
	}
}

// drop removes a user without sessions from the room.
func (r *Rooms) drop(m *member) {
	x := m.room
	m.place = gone
	r.away--
	delete(x.members, m.user)
	r.users--
	x.gone++
	x.compact()
}

// compactFrom is the length from which order is compacted.
const compactFrom = 64

// compact removes those who have gone from the order if they are more than
// half. A map never gives memory back, so it makes a new one too.
func (x *room) compact() {
	if len(x.members) == 0 {
		x.members, x.order, x.gone = nil, nil, 0
		return
	}
	if len(x.order) < compactFrom || x.gone <= len(x.order)/2 {
		return
	}
	order := make([]*member, 0, len(x.members))
	members := make(map[string]*member, len(x.members))
	for _, m := range x.order {
		if m.place != gone {
			order = append(order, m)
			members[m.user] = m
		}
	}
	x.order, x.members, x.gone = order, members, 0
}

// enterAnonymous counts a session without a name. If one has just left, it is
// taken for the same, so that a page that is loaded again changes nothing.
func (r *Rooms) enterAnonymous(x *room) {
	switch {
	case x.fadesNext > 0:
		x.fadesNext--
	case x.fades > 0:
		x.fades--
	default:
		x.anonymous++
		r.soil(x)
	}
}

// leaveAnonymous begins the grace of a session without a name. It ends between
// one and two graces later, so that two numbers hold any number of sessions.
func (r *Rooms) leaveAnonymous(x *room, now int64) {
	if x.fades+x.fadesNext >= x.anonymous {
		return
	}
	if x.fadeAt == 0 {
		if r.crowded(r.o.Leaving() - 1) {
			x.anonymous--
			r.soil(x)
			r.close(x)
			return
		}
		x.fadeAt = now + r.grace
		r.fading = append(r.fading, x)
	}
	if x.fadeAt == now+r.grace {
		x.fades++
	} else {
		x.fadesNext++
	}
}

// fade removes the sessions whose grace is over from the counts.
func (r *Rooms) fade(now int64) {
	still := r.fading[:0]
	for _, x := range r.fading {
		if x.fadeAt <= now {
			if x.fades > 0 {
				x.anonymous -= x.fades
				r.soil(x)
			}
			x.fades, x.fadesNext, x.fadeAt = x.fadesNext, 0, now+r.grace
			if x.fades == 0 {
				x.fadeAt = 0
				r.close(x)
				continue
			}
		}
		still = append(still, x)
	}
	clear(r.fading[len(still):])
	r.fading = still
	if len(still) == 0 {
		r.fading = nil
	}
}

// Watch keeps a room and its number, also while nobody is in it.
func (r *Rooms) Watch(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open(name).watches++
}

// Unwatch undoes one [Rooms.Watch].
func (r *Rooms) Unwatch(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if x := r.rooms[name]; x != nil && x.watches > 0 {
		x.watches--
		r.close(x)
	}
}

// open returns a room, which need not exist.
func (r *Rooms) open(name string) *room {
	x := r.rooms[name]
	if x == nil {
		x = &room{name: strings.Clone(name), number: r.floor}
		r.rooms[x.name] = x
	}
	return x
}

// close removes a room if nobody is in it and nobody watches it. A later room
// of the same name begins with a number that this one has not reached, so that
// whoever knows an old number notices a gap.
func (r *Rooms) close(x *room) {
	if len(x.members) > 0 || x.anonymous > 0 || x.watches > 0 || x.fadeAt != 0 {
		return
	}
	if x.soiled != 0 {
		last := len(r.dirty) - 1
		r.dirty[x.soiled-1] = r.dirty[last]
		r.dirty[x.soiled-1].soiled = x.soiled
		r.dirty[last] = nil
		r.dirty = r.dirty[:last]
		x.soiled = 0
	}
	delete(r.rooms, x.name)
	r.floor = max(r.floor, x.number+2)
	if len(r.rooms) == 0 { // a map never gives memory back
		r.rooms = make(map[string]*room)
	}
}

// soil has the next Tick make an event for a room.
func (r *Rooms) soil(x *room) {
	if x.soiled == 0 {
		r.dirty = append(r.dirty, x)
		x.soiled = len(r.dirty)
	}
}

// Pending reports whether [Rooms.Tick] has something to do, now or when a grace
// is over.
func (r *Rooms) Pending() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pending()
}

func (r *Rooms) pending() bool { return len(r.dirty) > 0 || r.leaving.n > 0 || len(r.fading) > 0 }

// Stats are current levels.
type Stats struct {
	Rooms   int // with somebody in them, or watched
	Users   int // in all rooms: who is in two rooms counts twice
	Leaving int // of these, in their grace
}

// Stats returns the current levels.
func (r *Rooms) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{len(r.rooms), r.users, r.leaving.n}
}
