package auth

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"
)

// MaxClockSkew is how far ahead of ours another machine's clock may be: a revocation whose moment is further in the
// future is refused.
const MaxClockSkew = 30 * time.Second

// Revocation takes back what was granted. Exactly one of User, Session and Credential is set.
type Revocation struct {
	// User is a user's name: the user's credentials that were issued before At are refused, those whose time of
	// issue is not known excepted; all its unused tickets are dead, whatever At is, and its sessions end.
	User string
	// Session is the id of a session, which ends. Its credential stays good.
	Session string
	// Credential is a [Principal.CredentialID]: that credential is refused, the unused tickets minted with it are
	// dead, and its sessions end.
	Credential string
	// At is the moment of the revocation; the zero time means now. It may not be more than [MaxClockSkew] in the
	// future.
	At time.Time
	// Until is when a revoked Credential runs out by itself, so that its revocation can be forgotten. The zero time
	// means that nobody knows, and it is kept, but for that of a ticket, which is used up and needs no more than
	// [MaxTicketTTL]. A Store keeps [MaxRevocations]; over that it forgets those that end first.
	Until time.Time
}

// Errors of [Store.Revoke].
var (
	ErrRevocation     = errors.New("auth: a revocation names exactly one of user, session and credential")
	ErrRevocationTime = errors.New("auth: a revocation's time is more than 30 s in the future")
)

// MaxRevocations is how many revoked credentials a Store remembers, in some 150 bytes each. A program that revokes more
// than that needs credentials that expire, and says so in [Revocation].Until.
const MaxRevocations = 1 << 17

// longestKept is how long a credential's id may be to be kept as it is; of a longer one its hash is kept.
const longestKept = 64

// ticketCredential begins the id of what a ticket stands for when its principal had no credential.
const ticketCredential = "ticket:"

// forever is later than every credential's end.
var forever = time.Unix(1<<40, 0)

// Revoke takes effect at once: when it returns, credentials and unused tickets of the subject are refused, and
// everybody who watches has been told. Revoking again what is revoked already tells the watchers again. The error is
// [ErrRevocation] or [ErrRevocationTime], and then nothing has happened.
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

// revokeCredential leaves the unused tickets where they are: they are compared when they are consumed, so the
// revocation is kept for as long as one of them can live.
func (s *Store) revokeCredential(r Revocation, now time.Time) {
	until := r.Until
	if until.IsZero() && !strings.HasPrefix(r.Credential, ticketCredential) {
		until = forever
	}
	key := strings.Clone(revocationKey(r.Credential)) // what it is part of may be large
	until = latest(until, now.Add(MaxTicketTTL), s.credentials.Until(key))
	s.credentials.Keep(key, until, now)
	s.credentials.Bound(MaxRevocations)
}

// revocationKey names a credential among those that are revoked: by its id, or by a digest of a long one.
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

// Revoked reports whether p's credential has been revoked by its id, or its user has been at a time after p was
// issued. A principal whose time of issue is not known is not refused for its user, and a nil one is not at all.
// Times of issue often are whole seconds, rounded down, so a credential of the very second of its user's revocation
// may be refused though it is younger.
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

// Watch has fn called with every revocation from now on, its At filled in, after it has taken effect and before
// [Store.Revoke] returns. fn runs on the goroutine of the one who revokes, several calls may run at once, and it may
// call the Store. After cancel has returned no call of fn begins, unless its revocation had begun before; cancel may
// be called twice.
func (s *Store) Watch(fn func(Revocation)) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = append(s.watchers, &fn)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		// A copy, because Revoke reads the slice without the lock.
		s.watchers = slices.DeleteFunc(slices.Clone(s.watchers), func(w *func(Revocation)) bool { return w == &fn })
	}
}
