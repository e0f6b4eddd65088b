package broker

import (
	"sync"

	"github.com/hoofbeat/hoofbeat/auth"
)

const (
	// maxVerdicts bounds what a pattern subscription remembers of the
	// Authorizer's answers; a pattern can match any number of destinations.
	maxVerdicts = 1024
	// maxWaiting bounds the messages that wait for an answer.
	maxWaiting = 1024
)

// A filter stands before a pattern subscription whose matches may not all be
// seen. Each destination is authorised once, in a goroutine of its own, since
// the hook may be slow and a publisher never waits; meanwhile what arrives for
// this subscription waits in order.
type filter struct {
	sub *subscription

	mu       sync.Mutex
	verdicts map[string]bool
	waiting  []*publication
	running  bool
	closed   bool
}

func newFilter(sub *subscription) *filter {
	return &filter{sub: sub, verdicts: make(map[string]bool)}
}

// deliver passes p on if its destination may be seen. It reports true also when
// the answer is still to come.
func (f *filter) deliver(p *publication, bt *batch) bool {
	f.mu.Lock()
	allowed, known := f.verdicts[p.destination]
	if !f.running && known {
		f.mu.Unlock()
		return allowed && f.pass(p, bt)
	}
	if f.closed || known && !allowed {
		f.mu.Unlock()
		return false
	}
	if len(f.waiting) >= maxWaiting {
		f.mu.Unlock()
		f.sub.s.end(failure(ReasonSlowConsumer, "more than %d messages wait for the authorization of your pattern", maxWaiting), "", bt)
		return false
	}
	m := p.message()
	kept := &publication{}
	kept.set(m, m.Destination)
	kept.msg = m
	f.waiting = append(f.waiting, kept)
	start := !f.running
	f.running = true
	f.mu.Unlock()
	if start && !f.sub.s.b.spawn(f.run) {
		f.close()
		return false
	}
	return true
}

// pass delivers to the subscription behind the filter.
func (f *filter) pass(p *publication, bt *batch) bool {
	sub := f.sub
	if sub.mode != ackAuto {
		return sub.deliverNumbered(p, nil, bt)
	}
	s := sub.s
	return s.out.deliver(sub, p.frame(s.wire.framing(), s.version, sub), bt)
}

// run authorises and delivers what waits.
func (f *filter) run() {
	b := f.sub.s.b
	for {
		f.mu.Lock()
		if len(f.waiting) == 0 || f.closed {
			f.waiting, f.running = nil, false
			f.mu.Unlock()
			return
		}
		p := f.waiting[0]
		f.waiting[0] = nil
		f.waiting = f.waiting[1:]
		allowed, known := f.verdicts[p.destination]
		f.mu.Unlock()
		if !known {
			allowed = f.ask(p.destination)
			f.mu.Lock()
			if len(f.verdicts) >= maxVerdicts {
				clear(f.verdicts)
			}
			f.verdicts[p.destination] = allowed
			f.mu.Unlock()
		}
		if allowed {
			bt := b.newBatch()
			f.pass(p, bt)
			bt.flush()
			bt.release()
		}
	}
}

func (f *filter) ask(destination string) bool {
	s := f.sub.s
	_, err := guard(func() (struct{}, error) {
		return struct{}{}, s.b.o.Authorizer.Authorize(s.context(), s.principal.Load(), auth.Subscribe, destination)
	})
	if err != nil {
		s.b.stats.denied.Add(1)
	}
	return err == nil
}

// forget has every destination authorised again.
func (f *filter) forget() {
	f.mu.Lock()
	clear(f.verdicts)
	f.mu.Unlock()
}

func (f *filter) close() {
	f.mu.Lock()
	f.closed = true
	f.waiting = nil
	f.mu.Unlock()
}
