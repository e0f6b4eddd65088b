package roster

import (
	"cmp"
	"slices"
)

// Page is a part of who is in a room, in the order in which they came.
type Page struct {
	// Number is that of the latest event of the room. The page contains what
	// that event and those before it have said.
	Number    uint64
	Users     []User
	Total     int // users in the room
	Anonymous int // sessions without a name in the room
	// Next is the Seq of the last user of this page, if more follow; otherwise 0.
	Next uint64
}

// User is a user in a room.
type User struct {
	Name     string
	Sessions int   // 0 in the grace
	Since    int64 // when the user came
}

// Page returns the users who came after the one with the number after, at most
// count of them, and about so many bytes of names. Users keep their numbers and
// later ones have greater numbers, so pages neither repeat nor miss one who
// stays. Its time is proportional to the number of users on the page, and of
// those among them who have gone.
func (r *Rooms) Page(name string, after uint64, count, bytes int) Page {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.rooms[name]
	if x == nil {
		return Page{Number: r.floor}
	}
	p := Page{Number: x.number, Total: len(x.members), Anonymous: x.anonymous}
	room := budget{count, bytes}
	at, found := slices.BinarySearchFunc(x.order, after, func(m *member, seq uint64) int { return cmp.Compare(m.seq, seq) })
	if found {
		at++
	}
	p.Users = make([]User, 0, min(count, len(x.order)-at))
	for last := after; at < len(x.order); at++ {
		m := x.order[at]
		if m.place == gone {
			continue
		}
		if !room.takes(m) {
			p.Next = last
			break
		}
		p.Users = append(p.Users, User{m.user, int(m.sessions), m.since})
		last = m.seq
	}
	return p
}
