package broker

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/hook"
)

// setExpiry stores the expiry of the session's credential on the broker's
// clock.
func (s *session) setExpiry(p *auth.Principal) {
	at := int64(never)
	if !p.Expires.IsZero() {
		at = int64(p.Expires.Sub(s.b.started))
	}
	s.expireAt.Store(at)
	s.setRecheck(p)
	s.b.sweeper.Schedule(s, s.b.now())
}

var errCredentialExpired = &Error{Reason: ReasonExpired, Message: "the credential has expired"}

// checkExpiry ends a session when its credential expires, and notifies the
// client in advance. It returns the time of the next check.
func (s *session) checkExpiry(now int64, bt *batch) int64 {
	at := s.expireAt.Load()
	notice := at - int64(s.b.o.ExpiryNotice)
	switch {
	case at == never:
		return never
	case now >= at:
		s.end(errCredentialExpired, "", bt)
		return never
	case now < notice:
		return notice
	case s.warned.Swap(at) != at:
		s.notify(sessionNotices, sessionEvent{Event: "auth-expiring", Expires: s.principal.Load().Expires.Unix()}, bt)
	}
	return at
}

// expiryNotice is the default time between the notice and the expiry.
const expiryNotice = time.Minute

const (
	// maxRechecks is the maximum number of credentials that are rechecked
	// concurrently.
	maxRechecks = 64
	// recheckTimeout is the maximum duration of one recheck.
	recheckTimeout = 10 * time.Second
)

// recheck is the state of a session for its [auth.Recheck]. Sessions whose
// credential has no Recheck have none.
type recheck struct {
	of   *auth.Recheck
	due  atomic.Int64 // broker clock; never while it is queued or running
	good atomic.Int64 // broker clock: when the request for the last good answer was made
}

var errUnchecked = &Error{Reason: ReasonExpired, Message: "the credential could not be checked again"}

// setRecheck stores how the session's credential is rechecked. If the
// credential was accepted longer ago than the interval, because its ticket was
// used late, it is due at once.
func (s *session) setRecheck(p *auth.Principal) {
	if p.Recheck == nil || p.Recheck.Every <= 0 || p.Recheck.Check == nil {
		s.recheck.Store(nil)
		return
	}
	r := &recheck{of: p.Recheck}
	r.good.Store(int64(p.Recheck.Asked.Sub(s.b.started)))
	r.due.Store(r.good.Load() + r.interval())
	s.recheck.Store(r)
	s.b.sweeper.Schedule(s, r.due.Load())
}

// interval returns a duration between half and three quarters of Every. Since
// an answer may already be a quarter of Every old, no answer is used for longer
// than Every.
func (r *recheck) interval() int64 {
	every := int64(r.of.Every)
	return every/2 + rand.Int64N(every/4+1)
}

// end returns when the session ends if there is no good answer.
func (r *recheck) end() int64 {
	if r.of.Grace <= 0 {
		return never
	}
	return r.good.Load() + int64(r.of.Grace)
}

// checkCredential queues a recheck when it is due. It runs on the sweeper's
// goroutine, like all of [session.check].
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

// rechecks rechecks credentials in order of arrival, on at most maxRechecks
// goroutines, which end when no session is queued. The zero value is ready to
// use. A session is queued at most once.
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

// recheckOne rechecks one credential. It holds no lock. It skips a credential
// that was renewed, or whose session ended, in the meantime.
func (b *Broker) recheckOne(s *session, r *recheck) {
	if s.recheck.Load() != r || phase(s.phase.Load()) == phaseEnding {
		return
	}
	asked := time.Since(b.started)
	ctx, cancel := context.WithTimeout(b.ctx, recheckTimeout)
	err := hook.Call(b.hookPanicked, "Recheck", func() error { return r.of.Check(ctx, r.of.Every/4) })
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
	b.sweeper.Schedule(s, due)
}
