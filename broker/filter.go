package broker

import "strings"

// filter guards a pattern subscription that may match destinations the session
// must not see. The session's [judge] authorises each destination, because the
// Authorizer may be slow and a publisher never waits. Meanwhile the messages
// for this subscription wait in order.
type filter struct {
	sub *subscription
	j   *judge

	// Guarded by the lock of the judge.

	// proven means that every destination is allowed, except that destinations
	// with a trailing slash must be authorised.
	proven    bool
	waiting   []*match
	releasing bool // a goroutine is delivering the waiting messages
	closed    bool
}

// match is a message that waits for the verdict on its destination, or for the
// messages before it.
type match struct {
	f       *filter
	m       *Message
	verdict answer
}

// answer is the verdict on a destination.
type answer uint8

const (
	unanswered answer = iota
	allowed
	refused
)

func newFilter(sub *subscription, proven bool) *filter {
	s := sub.s
	if s.judge == nil {
		s.judge = newJudge(s)
	}
	return &filter{sub: sub, j: s.judge, proven: proven}
}

// known returns the known verdict on a destination. The caller holds the lock.
func (f *filter) known(destination string) answer {
	if f.proven && !strings.HasSuffix(destination, "/") {
		return allowed
	}
	return f.j.remembered(destination)
}

// deliver passes p on if its destination is allowed. It also reports true while
// the verdict is pending.
func (f *filter) deliver(p *publication, bt *batch) bool {
	j := f.j
	j.mu.Lock()
	verdict := f.known(p.destination)
	if verdict != unanswered && len(f.waiting) == 0 && !f.releasing {
		j.mu.Unlock()
		return verdict == allowed && f.sub.pass(p, bt)
	}
	if f.closed || verdict == refused {
		j.mu.Unlock()
		return false
	}
	m := p.message()
	size, limit := messageSize(m), j.s.b.policy.Load().limits.Outbox
	if j.bytes+size > limit {
		j.mu.Unlock()
		j.s.end(failure(ReasonAuthorizerSlow, "more than %d bytes wait for the authorization of your patterns (limits.outbox)", limit), "", bt)
		return false
	}
	w := &match{f, m, verdict}
	f.waiting = append(f.waiting, w)
	j.bytes += size
	start := verdict == unanswered && j.ask(w)
	j.mu.Unlock()
	if start && !j.s.b.spawn(j.run) {
		j.stop()
		return false
	}
	return true
}

// release delivers the waiting messages whose destinations are allowed, in
// order, up to the first message without a verdict. Only one goroutine at a
// time does this for a filter. The caller holds the lock; release unlocks it
// during delivery and returns with it held.
func (f *filter) release(bt *batch) {
	if f.releasing {
		return // the releasing goroutine sees the new verdicts
	}
	f.releasing = true
	for len(f.waiting) > 0 && f.waiting[0].verdict != unanswered {
		w := f.waiting[0]
		f.waiting[0] = nil
		f.waiting = f.waiting[1:]
		f.j.bytes -= messageSize(w.m)
		if w.verdict == refused {
			continue
		}
		f.j.mu.Unlock()
		var p publication
		p.set(w.m, w.m.Destination)
		p.msg = w.m
		f.sub.pass(&p, bt)
		f.j.mu.Lock()
	}
	if len(f.waiting) == 0 {
		f.waiting = nil
	}
	f.releasing = false
}

// forget has every destination authorised again, except those that are proven
// now.
func (f *filter) forget(proven bool, bt *batch) {
	f.j.mu.Lock()
	f.proven = proven
	f.j.forget()
	workers := 0
	for _, w := range f.waiting {
		switch f.known(w.m.Destination) {
		case allowed:
			w.verdict = allowed
		default:
			if w.verdict == allowed {
				w.verdict = unanswered
				if f.j.ask(w) {
					workers++
				}
			}
		}
	}
	f.release(bt)
	f.j.mu.Unlock()
	for range workers {
		if !f.j.s.b.spawn(f.j.run) {
			f.j.stop()
		}
	}
}

// close discards the waiting messages: the subscription has ended.
func (f *filter) close() {
	f.j.mu.Lock()
	defer f.j.mu.Unlock()
	f.closed = true
	for _, w := range f.waiting {
		f.j.bytes -= messageSize(w.m)
	}
	f.waiting = nil
}
