package auth

import (
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// put adds an opaque ticket, unless its principal has been rejected meanwhile
// or there are too many tickets.
func (s *Store) put(e *entry, since int64, perSubject, total int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.withdrawn(e.principal, since, now) {
		return errWithdrawn()
	}
	if wait := s.tickets.makeRoom(e.subject, perSubject, total, now); wait > 0 {
		return tooMany(wait, "too many unused tickets")
	}
	s.tickets.put(e)
	return nil
}

// date returns the creation stamp of a signed ticket, unless its principal has
// been rejected meanwhile.
func (s *Store) date(p *Principal, since int64) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.withdrawn(p, since, time.Now()) {
		return 0, errWithdrawn()
	}
	return s.stamp(), nil
}

// withdrawn reports whether a credential that was valid after since is no
// longer valid.
func (s *Store) withdrawn(p *Principal, since int64, now time.Time) bool {
	return p.Expired(now) || s.revoked(p, now) || s.users[p.Name].epoch > since
}

func errWithdrawn() error {
	return &Refusal{
		Status:    http.StatusUnauthorized,
		Reason:    "the credential has expired or was revoked",
		Challenge: httpsec.InvalidToken,
	}
}

// take makes an unused opaque ticket invalid and returns its principal. If it
// must be rejected, take returns the cause, and the user if the store knows it.
func (s *Store) take(key digest, origin *string) (*Principal, TicketCause, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.tickets.entries[key]
	if e == nil {
		return nil, TicketUnknown, ""
	}
	if e.principal == nil {
		return nil, e.cause, e.user()
	}
	p, now := e.principal, time.Now()
	if cause := s.verdict(p, e.expires, e.origin, origin, now); cause != 0 {
		s.tickets.kill(e, cause)
		return nil, cause, e.user()
	}
	s.tickets.kill(e, TicketUsed)
	return p, 0, ""
}

// verdict reports why an unused ticket must be rejected, or 0.
func (s *Store) verdict(p *Principal, expires time.Time, bound string, origin *string, now time.Time) TicketCause {
	switch {
	case !now.Before(expires) || p.Expired(now):
		return TicketExpired
	case s.revoked(p, now):
		return TicketRevoked
	case bound != "" && origin != nil && *origin != bound:
		return TicketWrongOrigin
	}
	return 0
}

// ahead returns how long a stamp remains in the future.
func (s *Store) ahead(stamp int64) time.Duration {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return time.Duration(stamp - max(time.Now().UnixNano(), s.clock))
}

// spend is take for a signed ticket with a valid signature.
func (s *Store) spend(key digest, m *signedTicket, origin *string, limit int) TicketCause {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	switch {
	case m.Created > max(now.UnixNano(), s.clock):
		return TicketFromFuture // the clock was set back meanwhile
	case m.Created < s.born:
		return TicketTooOld
	case m.Created <= s.users[m.User].epoch:
		return TicketRevoked
	}
	cause := s.verdict(m.principal(), m.expires(), m.Origin, origin, now)
	if cause == TicketExpired {
		return cause // it stays expired, so nothing needs to be remembered
	}
	mark := cause
	if mark == 0 {
		mark = TicketUsed
	}
	if before := s.tickets.spend(key, mark, m.expires(), now, limit); before != 0 {
		return before
	}
	return cause
}
