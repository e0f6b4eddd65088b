package checker

import (
	"cmp"
	"slices"
	"time"
)

// handed is a delivery of a queue message to a consumer.
type handed struct {
	id ID
	u  *Subscription
	d  *delivery
}

// done identifies a delivery whose outcome is known.
type done struct {
	u  *Subscription
	id ID
}

// settling holds when a delivery was acknowledged, 0 = never.
type settling struct {
	said      time.Duration
	confirmed time.Duration // RECEIPT of the ACK
}

// queues applies the rules that concern all consumers of a queue together.
func (j *judge) queues() {
	var all []handed
	autos := make(map[uint32][]*Subscription)
	for _, u := range j.c.subs {
		if j.c.queue[u.dest] && u.mode == Auto {
			autos[u.dest] = append(autos[u.dest], u)
		}
		for i := range u.got {
			d := &u.got[i]
			if _, m := j.sent(d.id); j.c.queue[m.dest] {
				all = append(all, handed{d.id, u, d})
			}
		}
	}
	slices.SortFunc(all, func(a, b handed) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.d.at, b.d.at)) })
	answers := j.answers()
	got := make(map[int]*set)
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].id == all[0].id {
			n++
		}
		j.repeated(all[:n], answers)
		j.dropped(all[:n], answers)
		id := all[0].id
		if got[id.session()] == nil {
			got[id.session()] = new(set)
		}
		got[id.session()].add(id.seq())
		all = all[n:]
	}
	j.undelivered(got, autos)
}

// answers returns the ACK or NACK of each delivery.
func (j *judge) answers() map[done]settling {
	all := make(map[done]settling)
	next := make(map[*Subscription]int) // first delivery that no cumulative ACK covers
	for _, s := range j.c.sessions {
		for i := range s.acks {
			a := &s.acks[i]
			said, confirmed := s.effective(a)
			if said == 0 {
				continue
			}
			if a.nack {
				confirmed = 0
			}
			if a.sub.mode != Client {
				if k := (done{a.sub, a.id}); all[k].confirmed == 0 {
					all[k] = settling{said, confirmed}
				}
				continue
			}
			from := next[a.sub]
			n := slices.IndexFunc(a.sub.got[from:], func(d delivery) bool { return d.id == a.id })
			for _, d := range a.sub.got[from : from+n+1] {
				all[done{a.sub, d.id}] = settling{said, confirmed}
			}
			next[a.sub] = from + n + 1
		}
	}
	return all
}

// repeated checks the deliveries of one message for duplicates. The order in
// which the broker made them is unknown: a client may read from a connection
// that the broker gave up long before.
func (j *judge) repeated(list []handed, answers map[done]settling) {
	var plain *handed // the delivery without redelivered:true
	for i := range list {
		h := &list[i]
		if e, at := confirmed(list, answers); e != nil && e.d != h.d && at < h.d.at && (e.u.s == h.u.s || j.handedAfter(h, at)) {
			j.violation(Duplicate, h.id, h.u, h.d.at, "its ACK by "+e.u.s.who.String()+" was receipted at "+at.String())
			continue
		}
		if _, m := j.sent(h.id); h.d.redelivered || h.u.dest != m.dest {
			continue
		}
		if plain != nil {
			j.violation(Duplicate, h.id, h.u, h.d.at, "without redelivered:true, as when "+plain.u.s.who.String()+" got it at "+plain.d.at.String())
			continue
		}
		plain = h
	}
}

// confirmed returns the delivery whose ACK was receipted first, and when.
func confirmed(list []handed, answers map[done]settling) (first *handed, at time.Duration) {
	for i := range list {
		h := &list[i]
		if c := answers[done{h.u, h.id}].confirmed; c != 0 && c > h.d.at && (first == nil || c < at) {
			first, at = h, c
		}
	}
	return first, at
}

// handedAfter reports whether receiving a message after the RECEIPT of another
// consumer's ACK is a fault: the broker delivered it after that RECEIPT, or
// while this consumer was still subscribed.
func (j *judge) handedAfter(h *handed, at time.Duration) bool {
	if h.u.end == 0 || h.u.chosen && h.u.end > h.d.at || h.u.asked > at {
		return true
	}
	for i := range h.u.got { // a newer message came before it on this connection
		d := &h.u.got[i]
		if d.at >= h.d.at {
			break
		}
		if _, m := j.sent(d.id); m.at > at {
			return true
		}
	}
	return false
}

// dropped reports a loss if all consumers that got a message ended without an
// answer, and no other got it again.
func (j *judge) dropped(list []handed, answers map[done]settling) {
	id := list[0].id
	s, m := j.sent(id)
	drained := j.drained(m.dest)
	effective, receipted := s.settled(m)
	if drained == 0 || receipted == 0 || receipted > drained || j.forgotten(s, effective) {
		return
	}
	for _, h := range list {
		if h.u.mode == Auto || h.u.end == 0 || h.u.end >= drained || answers[done{h.u, id}].said != 0 {
			return
		}
	}
	last := list[len(list)-1]
	j.violation(Lost, id, last.u, 0, "the consumer ended without an ACK, and nobody got it again")
}

// undelivered reports the messages that no consumer got.
func (j *judge) undelivered(got map[int]*set, autos map[uint32][]*Subscription) {
	for _, s := range j.c.sessions {
		mine := got[s.number]
		for seq := range s.sends {
			m := &s.sends[seq]
			if !j.c.queue[m.dest] || mine != nil && mine.has(seq) {
				continue
			}
			drained := j.drained(m.dest)
			effective, receipted := s.settled(m)
			if drained == 0 || receipted == 0 || receipted > drained || j.forgotten(s, effective) {
				continue
			}
			onItsWay := func(u *Subscription) bool { return u.end != 0 && u.end > effective && u.end < drained }
			if slices.ContainsFunc(autos[m.dest], onItsWay) {
				continue
			}
			j.violation(Lost, newID(s.number, seq), nil, 0, "no consumer of the queue got it")
		}
	}
}
