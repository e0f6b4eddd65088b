package broker

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/topics"
)

const (
	// maxVerdicts bounds what a pattern subscription remembers of the
	// Authorizer's answers; a pattern can match any number of destinations.
	maxVerdicts = 1024
	// maxWaiting bounds the messages that wait for an answer; their octets are
	// bounded as those in an outbox are.
	maxWaiting = 1024
)

// A filter stands before a pattern subscription whose matches may not all be
// seen. Each destination is authorised once, in a goroutine of its own, since
// the hook may be slow and a publisher never waits; meanwhile what arrives for
// this subscription waits in order.
type filter struct {
	sub *subscription

	mu sync.Mutex
	// proven says that every destination may be seen, except that those with a
	// slash at their end have to be asked about.
	proven   bool
	verdicts map[string]verdict
	waiting  []*publication
	bytes    int // of the waiting
	renewals int // answers from before the last one do not count
	running  bool
	closed   bool
}

// verdict is a remembered answer. A no is asked again after a while: it may have
// been for want of an answer, and permissions change.
type verdict struct {
	allowed bool
	until   int64 // broker clock, for a no
}

const rememberDenial = int64(10 * time.Second)

// remembered returns what is known of a destination. The caller has the lock.
func (f *filter) remembered(destination string) (allowed, known bool) {
	if f.proven && !strings.HasSuffix(destination, "/") {
		return true, true
	}
	v, known := f.verdicts[destination]
	return v.allowed, known && (v.allowed || f.sub.s.b.now() < v.until)
}

func newFilter(sub *subscription) *filter {
	return &filter{sub: sub, verdicts: make(map[string]verdict)}
}

// deliver passes p on if its destination may be seen. It reports true also when
// the answer is still to come.
func (f *filter) deliver(p *publication, bt *batch) bool {
	f.mu.Lock()
	allowed, known := f.remembered(p.destination)
	if !f.running && known {
		f.mu.Unlock()
		return allowed && f.sub.pass(p, bt)
	}
	if f.closed || known && !allowed {
		f.mu.Unlock()
		return false
	}
	size, limit := messageSize(p.message()), f.sub.s.b.policy.Load().limits.Outbox
	if len(f.waiting) >= maxWaiting || f.bytes+size > limit {
		f.mu.Unlock()
		f.sub.s.end(failure(ReasonSlowConsumer, "more than %d messages or %d bytes wait for the authorization of your pattern", maxWaiting, limit), "", bt)
		return false
	}
	m := p.message()
	kept := &publication{}
	kept.set(m, m.Destination)
	kept.msg = m
	f.waiting = append(f.waiting, kept)
	f.bytes += size
	start := !f.running
	f.running = true
	f.mu.Unlock()
	if start && !f.sub.s.b.spawn(f.run) {
		f.close()
		return false
	}
	return true
}

// run authorises and delivers what waits.
func (f *filter) run() {
	b := f.sub.s.b
	for {
		f.mu.Lock()
		if len(f.waiting) == 0 || f.closed || phase(f.sub.s.phase.Load()) == phaseEnding {
			f.waiting, f.bytes, f.running = nil, 0, false
			f.mu.Unlock()
			return
		}
		p := f.waiting[0]
		f.waiting[0] = nil
		f.waiting = f.waiting[1:]
		f.bytes -= messageSize(p.msg)
		allowed, known := f.remembered(p.destination)
		renewals := f.renewals
		f.mu.Unlock()
		if !known {
			allowed = f.ask(strings.Clone(p.destination), renewals)
		}
		if allowed {
			bt := b.newBatch()
			f.sub.pass(p, bt)
			bt.flush()
			bt.release()
		}
	}
}

// ask authorises a destination and remembers the answer. A hook that failed has
// not answered: the message is withheld, and the next one asks again. An answer
// about a credential that was renewed meanwhile is not taken: it asks again.
func (f *filter) ask(destination string, renewals int) bool {
	s, name := f.sub.s, topics.Collapse(destination)
	for {
		_, err := guard(func() (struct{}, error) {
			return struct{}{}, s.b.policy.Load().authorizer.Authorize(s.context(), s.principal.Load(), auth.Subscribe, name)
		})
		f.mu.Lock()
		if f.renewals != renewals && !f.closed {
			renewals = f.renewals
			f.mu.Unlock()
			continue
		}
		if err == nil || errors.Is(err, auth.ErrDenied) {
			if len(f.verdicts) >= maxVerdicts {
				clear(f.verdicts)
			}
			f.verdicts[destination] = verdict{err == nil, s.b.now() + rememberDenial}
		}
		f.mu.Unlock()
		if err != nil {
			s.b.stats.denied.Add(1)
			if !errors.Is(err, auth.ErrDenied) {
				s.b.o.Logger.Warn("the authorizer failed, so a message is withheld", "session", s.id, "error", err)
			}
		}
		return err == nil
	}
}

// forget has every destination authorised again, but for what is proven now.
func (f *filter) forget(proven bool) {
	f.mu.Lock()
	f.proven = proven
	clear(f.verdicts)
	f.renewals++
	f.mu.Unlock()
}

func (f *filter) close() {
	f.mu.Lock()
	f.closed = true
	f.waiting = nil
	f.mu.Unlock()
}
