package checker

import (
	"math"
	"time"
)

// Report returns the violations of the run so far.
func (c *Checker) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.judge(func(queue uint32) time.Duration { return c.drained[queue] })
}

// Outstanding returns how many messages would be [Lost] or a [RecoveredHole] if
// the run ended now and all queues were drained. A driver waits until it is 0,
// or until nothing has arrived for long enough. It takes as long as Report.
func (c *Checker) Outstanding() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.judge(func(uint32) time.Duration { return math.MaxInt64 })
	return r.Kinds[Lost] + r.Kinds[RecoveredHole]
}

// judge creates a report. The caller has the lock.
func (c *Checker) judge(drained func(queue uint32) time.Duration) Report {
	j := judge{c: c, drained: drained, matches: make(map[match]bool)}
	for _, v := range c.found {
		j.r.add(v, c.o.Violations)
	}
	j.r.Total += c.foundMore
	continued := make(map[*Subscription]bool)
	for _, u := range c.subs {
		continued[u.before] = true
	}
	for _, u := range c.subs {
		if !continued[u] {
			j.chain(u)
		}
	}
	j.queues()
	j.r.sort(c.o.Violations)
	return j.r
}

// judge is a report in progress.
type judge struct {
	c       *Checker
	drained func(queue uint32) time.Duration
	r       Report
	matches map[match]bool
}

// match is the arguments of a call to Options.Match.
type match struct {
	subscribed, sent uint32
	user             string
}

func (j *judge) match(u *Subscription, sent uint32) bool {
	q := match{u.dest, sent, u.s.who.User}
	yes, known := j.matches[q]
	if !known {
		yes = j.c.o.Match(j.c.names[u.dest], u.s.who.User, j.c.names[sent])
		j.matches[q] = yes
	}
	return yes
}

func (j *judge) sent(id ID) (*Session, *send) {
	s := j.c.sessions[id.session()]
	return s, &s.sends[id.seq()]
}

// violation adds a violation about a SEND and, unless u is nil, a subscription.
func (j *judge) violation(k Kind, id ID, u *Subscription, at time.Duration, detail string) {
	v := Violation{Kind: k, At: at, Detail: detail}
	j.c.describe(&v, id)
	if u != nil {
		v.Subscriber, v.Subscription = u.s.who, u.id
	}
	j.r.add(v, j.c.o.Violations)
}

// forgotten reports whether a SEND went to a node that later lost its memory.
func (j *judge) forgotten(s *Session, at time.Duration) bool {
	for _, lost := range j.c.memoryLost[s.who.Node] {
		if at < lost {
			return true
		}
	}
	return false
}
