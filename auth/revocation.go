package auth

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"
)

// MaxClockSkew is the maximum lead of another machine's clock over ours. A
// revocation with a time further in the future is rejected.
const MaxClockSkew = 30 * time.Second

// Revocation withdraws access. Set exactly one of User, Session and Credential.
type Revocation struct {
	// User is a user's name. The user's credentials issued before At are
	// rejected, except those with an unknown time of issue. All of the user's
	// unused tickets become invalid, whatever At is, and the user's sessions
	// end.
	User string
	// Session is a session id. That session ends; its credential remains valid.
	Session string
	// Credential is a [Principal.CredentialID]. That credential is rejected,
	// unused tickets minted with it become invalid, and its sessions end.
	Credential string
	// At is the time of the revocation; the zero time means now. It may be at
	// most [MaxClockSkew] in the future.
	At time.Time
	// Until is when a revoked Credential expires by itself, so that the Store
	// can forget the revocation. The zero time means unknown: the Store keeps
	// the revocation, except that of a ticket, which is single-use and is kept
	// for [MaxTicketTTL]. A Store keeps [MaxRevocations]; beyond that it
	// forgets those that end first.
	Until time.Time
}

// Errors of [Store.Revoke].
var (
	ErrRevocation     = errors.New("auth: a revocation names exactly one of user, session and credential")
	ErrRevocationTime = errors.New("auth: a revocation's time is more than 30 s in the future")
)

// MaxRevocations is the maximum number of revoked credentials in a Store, at
// some 150 bytes each. A program that revokes more needs credentials that
// expire, and must set [Revocation].Until.
const MaxRevocations = 1 << 17

// longestKept is the maximum length in bytes of a credential's id that is kept
// as it is. A longer id is kept as its hash.
const longestKept = 64

// ticketCredential begins the CredentialID of a ticket whose principal had
// none.
const ticketCredential = "ticket:"

// forever is later than the end of every credential.
var forever = time.Unix(1<<40, 0)

// Revoke takes effect at once: when it returns, the subject's credentials and
// unused tickets are rejected, and all watchers have been called. Revoking
// again calls the watchers again. The error is [ErrRevocation] or
// [ErrRevocationTime]; nothing has changed then.
func (s *Store) Revoke(r Revocation) error {
	now := time.Now()
	if r.At.IsZero() {
		r.At = now
	}
	if err := r.check(now); err != nil {
		return err
	}
	s.mu.Lock()
	switch {
	case r.User != "":
		if m := s.users[r.User]; r.At.After(m.revoked) {
			m.revoked = r.At
			s.users[r.User] = m
		}
		s.bump(r.User)
	case r.Credential != "":
		s.revokeCredential(r, now)
	}
	watchers := s.watchers
	s.mu.Unlock()
	for _, fn := range watchers {
		(*fn)(r)
	}
	return nil
}

func (r *Revocation) check(now time.Time) error {
	names := 0
	for _, name := range [...]string{r.User, r.Session, r.Credential} {
		if name != "" {
			names++
		}
	}
	if names != 1 {
		return ErrRevocation
	}
	if r.At.After(now.Add(MaxClockSkew)) {
		return ErrRevocationTime
	}
	return nil
}

// revokeCredential leaves the unused tickets in place: consuming a ticket
// checks its credential. It therefore keeps the revocation for at least the
// lifetime of a ticket.
func (s *Store) revokeCredential(r Revocation, now time.Time) {
	until := r.Until
	if until.IsZero() && !strings.HasPrefix(r.Credential, ticketCredential) {
		until = forever
	}
	key := strings.Clone(revocationKey(r.Credential)) // the id may be part of a large string
	until = latest(until, now.Add(MaxTicketTTL), s.credentials.Until(key))
	s.credentials.Keep(key, until, now)
	s.credentials.Bound(MaxRevocations)
}

// revocationKey returns the key of a revoked credential: its id, or a digest of
// a long id.
func revocationKey(credential string) string {
	if len(credential) <= longestKept {
		return credential
	}
	sum := sha256.Sum256([]byte(credential))
	return string(sum[:])
}

func latest(first time.Time, others ...time.Time) time.Time {
	for _, t := range others {
		if t.After(first) {
			first = t
		}
	}
	return first
}

// Revoked reports whether p's credential was revoked by its id, or its user was
// revoked at a time after p was issued. Revoking a user does not affect a
// principal with an unknown time of issue, and a nil principal is never
// revoked. Times of issue are often rounded down to seconds, so a credential
// issued in the same second as its user's revocation may be rejected although
// it is newer.
func (s *Store) Revoked(p *Principal) bool {
	if p == nil {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.revoked(p, time.Now())
}

func (s *Store) revoked(p *Principal, now time.Time) bool {
	if p.CredentialID != "" && s.credentials.Until(revocationKey(p.CredentialID)).After(now) {
		return true
	}
	return p.Name != "" && !p.Issued.IsZero() && p.Issued.Before(s.users[p.Name].revoked)
}

// Watch registers fn for every later revocation, with At filled in. fn runs
// after the revocation has taken effect and before [Store.Revoke] returns, on
// the goroutine of Revoke's caller. Several calls may run at once, and fn may
// call the Store. After cancel has returned, fn is called only for revocations
// that had already begun. cancel may be called more than once.
func (s *Store) Watch(fn func(Revocation)) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = append(s.watchers, &fn)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		// Make a copy, because Revoke reads the slice without the lock.
		s.watchers = slices.DeleteFunc(slices.Clone(s.watchers), func(w *func(Revocation)) bool { return w == &fn })
	}
}
