package broker

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

const (
	// maxRechecks is how many credentials are looked at again at the same time.
	maxRechecks = 64
	// recheckTimeout is the longest that one of them takes.
	recheckTimeout = 10 * time.Second
)

// recheck is what a session keeps of an [auth.Recheck]. Only sessions that have one
// have this.
type recheck struct {
	of   *auth.Recheck
	due  atomic.Int64 // broker clock; never while it waits for its turn or is under way
	good atomic.Int64 // broker clock: when the last good answer was asked for
}

var errUnchecked = &Error{Reason: ReasonExpired, Message: "the credential could not be checked again"}

// setRecheck notes how the session's credential is looked at again. A credential
// that was let in longer ago than its turn, by a ticket that was used late, is due
// at once.
func (s *session) setRecheck(p *auth.Principal) {
	if p.Recheck == nil || p.Recheck.Every <= 0 || p.Recheck.Check == nil {
		s.recheck.Store(nil)
		return
	}
	r := &recheck{of: p.Recheck}
	r.good.Store(int64(p.Recheck.Asked.Sub(s.b.started)))
	r.due.Store(r.good.Load() + r.interval())
	s.recheck.Store(r)
	s.b.sweeper.reschedule(s, r.due.Load())
}

// interval is between half and three quarters of Every. With answers that may be a
// quarter of it old, none is relied on for longer than that.
func (r *recheck) interval() int64 {
	every := int64(r.of.Every)
	return every/2 + rand.Int64N(every/4+1)
}

// end is when the session ends without a good answer.
func (r *recheck) end() int64 {
	if r.of.Grace <= 0 {
		return never
	}
	return r.good.Load() + int64(r.of.Grace)
}

// checkCredential hands a session to the rechecks when it is due. It runs on the
// sweeper's goroutine, as all of [session.check].
func (s *session) checkCredential(now int64, bt *batch) int64 {
	r := s.recheck.Load()
	if r == nil {
		return never
	}
	end := r.end()
	if now >= end {
		s.end(errUnchecked, "", bt)
		return never
	}
	due := r.due.Load()
	if now >= due {
		r.due.Store(never)
		s.b.rechecks.add(s.b, pendingRecheck{s, r})
		due = never
	}
	return min(due, end)
}

// rechecks looks at credentials again, first come, first served, on at most
// maxRechecks goroutines, which end when nothing is left to do. The zero value is
// ready. A session waits here once at most.
type rechecks struct {
	mu      sync.Mutex
	waiting []pendingRecheck
	workers int
}

type pendingRecheck struct {
	s *session
	r *recheck
}

func (q *rechecks) add(b *Broker, p pendingRecheck) {
	q.mu.Lock()
	q.waiting = append(q.waiting, p)
	more := q.workers < maxRechecks
	if more {
		q.workers++
	}
	q.mu.Unlock()
	if more && !b.spawn(func() { q.work(b) }) {
		q.mu.Lock()
		q.workers-- // the broker is closed
		q.mu.Unlock()
	}
}

func (q *rechecks) work(b *Broker) {
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			q.waiting = nil
			q.workers--
			q.mu.Unlock()
			return
		}
		next := q.waiting[0]
		q.waiting[0] = pendingRecheck{}
		q.waiting = q.waiting[1:]
		q.mu.Unlock()
		b.recheckOne(next.s, next.r)
	}
}

// recheckOne asks about one credential. It holds no lock. What the client has
// renewed meanwhile, or ended, is not asked about.
func (b *Broker) recheckOne(s *session, r *recheck) {
	if s.recheck.Load() != r || phase(s.phase.Load()) == phaseEnding {
		return
	}
	asked := time.Since(b.started)
	ctx, cancel := context.WithTimeout(b.ctx, recheckTimeout)
	_, err := guard(b, "Recheck", func() (struct{}, error) { return struct{}{}, r.of.Check(ctx, r.of.Every/4) })
	cancel()
	if b.ctx.Err() != nil || s.recheck.Load() != r {
		return
	}
	switch {
	case err == nil:
		r.good.Store(int64(asked) - int64(r.of.Every/4))
	case auth.Withdrawn(err):
		b.o.Logger.Info("a credential was revoked by its issuer", "session", s.id, "user", s.userName(), "error", err)
		s.endNow(failure(ReasonRevoked, "session revoked"))
		return
	default:
		b.warn("a credential could not be checked again", source{}, "session", s.id, "user", s.userName(), "error", err)
	}
	due := int64(asked) + r.interval()
	r.due.Store(due)
	b.sweeper.reschedule(s, due)
}
