package checker

import (
	"slices"
	"time"
)

// place is the position of a SEND among those of its session: first by the time
// it took effect, then by its number.
type place struct {
	at  time.Duration
	seq int
}

func (p place) after(q place) bool { return p.at > q.at || p.at == q.at && p.seq > q.seq }

// lane is a publisher and a destination. Order holds within a lane.
type lane struct {
	publisher int
	dest      uint32
}

// set is a set of SEND numbers of one session.
type set []uint64

func (s *set) add(n int) (was bool) {
	if n/64 >= len(*s) {
		*s = append(*s, make([]uint64, n/64+1-len(*s))...)
	}
	was = (*s)[n/64]&(1<<(n%64)) != 0
	(*s)[n/64] |= 1 << (n % 64)
	return was
}

func (s set) has(n int) bool { return n/64 < len(s) && s[n/64]&(1<<(n%64)) != 0 }

// part is what one subscription of a chain got.
type part struct {
	u    *Subscription
	last map[lane]place // latest message of each lane
}

// chain checks a chain of subscriptions, where each continues the one before.
// It applies all rules except those about several consumers of a queue.
func (j *judge) chain(last *Subscription) {
	var list []*Subscription
	for u := last; u != nil; u = u.before {
		list = append(list, u)
	}
	slices.Reverse(list)
	got := make(map[int]*set) // by publisher, for the whole chain
	parts := make([]part, 0, len(list))
	var before part
	for _, u := range list {
		p := part{u: u, last: make(map[lane]place)}
		order := make(map[lane]place)
		fresh := make(map[int]*set) // for this subscription
		if u.recovered {
			for l, at := range before.last {
				order[l] = at
			}
			fresh = got
		}
		j.deliveries(p, order, fresh)
		for publisher, s := range fresh {
			merge(got, publisher, s)
		}
		parts = append(parts, p)
		before = p
	}
	j.missing(parts, got)
}

func merge(into map[int]*set, publisher int, s *set) {
	old := into[publisher]
	switch {
	case old == s:
	case old == nil:
		into[publisher] = s
	default:
		for i, w := range *s {
			if i < len(*old) {
				(*old)[i] |= w
			} else {
				*old = append(*old, w)
			}
		}
	}
}

// deliveries checks the messages that one subscription got.
func (j *judge) deliveries(p part, order map[lane]place, seen map[int]*set) {
	u := p.u
	names := make(map[uint64]ID)
	for i := range u.got {
		d := &u.got[i]
		s, m := j.sent(d.id)
		j.entitled(u, d, m)
		effective, _ := s.settled(m)
		if effective == 0 || d.at < effective {
			j.violation(Uncommitted, d.id, u, d.at, "its transaction was not committed")
			continue
		}
		if d.name != 0 {
			if other, known := names[d.name]; known && other != d.id {
				j.violation(Corrupt, d.id, u, d.at, "its message-id is that of message "+other.String())
			}
			names[d.name] = d.id
		}
		queue := j.c.queue[m.dest]
		if seen[s.number] == nil {
			seen[s.number] = new(set)
		}
		if seen[s.number].add(d.id.seq()) && !queue {
			j.violation(Duplicate, d.id, u, d.at, "the subscription has got it before")
			continue
		}
		if queue && (d.redelivered || u.dest != m.dest) {
			continue
		}
		l, at := lane{s.number, m.dest}, place{effective, d.id.seq()}
		if order[l].after(at) {
			j.violation(OutOfOrder, d.id, u, d.at, "the subscription has got the later message "+newID(s.number, order[l].seq).String()+" before")
			continue
		}
		order[l] = at
		p.last[l] = at
	}
}

// entitled checks whether a subscription may get a message.
func (j *judge) entitled(u *Subscription, d *delivery, m *send) {
	switch {
	case !j.match(u, m.dest):
		j.violation(Misdelivered, d.id, u, d.at, "the subscription is for "+j.c.names[u.dest])
	case !j.c.o.Entitled(u.s.who.User, j.c.names[m.dest]):
		j.violation(Misdelivered, d.id, u, d.at, "user "+u.s.who.User+" is not entitled to it")
	case u.gone != 0 && d.at > u.gone:
		j.violation(Misdelivered, d.id, u, d.at, "it came after the RECEIPT of UNSUBSCRIBE")
	case d.elsewhere:
		j.violation(Misdelivered, d.id, u, d.at, "the MESSAGE names another destination")
	}
}

// missing finds the messages that a chain did not get.
func (j *judge) missing(parts []part, got map[int]*set) {
	if parts[0].u.receipt == 0 {
		return
	}
	wanted := make([]bool, len(j.c.names))
	any := false
	for n := range wanted {
		wanted[n] = !j.c.queue[n] && j.match(parts[0].u, uint32(n))
		any = any || wanted[n]
	}
	if !any {
		return
	}
	for _, s := range j.c.sessions {
		mine := got[s.number]
		for seq := range s.sends {
			m := &s.sends[seq]
			if !wanted[m.dest] || mine != nil && mine.has(seq) {
				continue
			}
			effective, receipted := s.settled(m)
			if receipted == 0 || effective < parts[0].u.receipt || j.forgotten(s, effective) {
				continue
			}
			j.absent(parts, newID(s.number, seq), lane{s.number, m.dest}, place{effective, seq}, receipted)
		}
	}
}

// absent checks one receipted SEND that a chain did not get.
func (j *judge) absent(parts []part, id ID, l lane, at place, receipted time.Duration) {
	for i, p := range parts {
		u := p.u
		if u.receipt == 0 {
			return // it may have started at any time
		}
		later := p.last[l].after(at)
		if at.at >= u.receipt {
			switch {
			case u.end != 0 && at.at > u.end: // this subscription had ended by then
			case u.end == 0:
				j.violation(Lost, id, u, 0, "the subscription was there all the time and is still open")
				return
			case later:
				j.violation(Lost, id, u, 0, "the subscription has got the later message "+newID(l.publisher, p.last[l].seq).String())
				return
			case u.chosen && j.c.o.Grace > 0 && u.end-receipted >= j.c.o.Grace:
				j.violation(Lost, id, u, 0, "the subscription was there for another "+(u.end-receipted).String())
				return
			}
			continue
		}
		if i > 0 && !u.recovered {
			return // it has promised nothing of what came before it, and neither do those that continue it
		}
		if u.end == 0 || later {
			j.violation(RecoveredHole, id, u, 0, "the subscription has said recovered:true")
		}
		return
	}
}
