package broker

import (
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
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
