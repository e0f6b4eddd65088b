package broker

import "strings"

// A filter stands before a pattern subscription whose matches may not all be
// seen. Each destination is authorised by the session's [judge], since the hook
// may be slow and a publisher never waits; meanwhile what arrives for this
// subscription waits in order.
type filter struct {
	sub *subscription
	j   *judge

	// Guarded by the lock of the judge.

	// proven says that every destination may be seen, except that those with a
	// slash at their end have to be asked about.
	proven    bool
	waiting   []*match
	releasing bool // somebody delivers what waited
	closed    bool
}

// match is a message that waits for a verdict about its destination, or for those
// before it.
type match struct {
	f       *filter
	m       *Message
	verdict answer
}

// answer is what is known of a destination.
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

// known returns what is known of a destination. The caller has the lock.
func (f *filter) known(destination string) answer {
	if f.proven && !strings.HasSuffix(destination, "/") {
		return allowed
	}
	return f.j.remembered(destination)
}

// deliver passes p on if its destination may be seen. It reports true also when
// the answer is still to come.
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

// release delivers, in order, what waited and may be seen, up to the first message
// whose destination is not judged yet. One goroutine at a time does so for a
// filter. It is called with the lock held, and holds it again when it returns.
func (f *filter) release(bt *batch) {
	if f.releasing {
		return // whoever does so sees what is new
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

// forget has every destination authorised again, but for what is proven now.
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

// close throws away what waits: the subscription has ended.
func (f *filter) close() {
	f.j.mu.Lock()
	defer f.j.mu.Unlock()
	f.closed = true
	for _, w := range f.waiting {
		f.j.bytes -= messageSize(w.m)
	}
	f.waiting = nil
}
