package auth

import (
	"crypto/sha256"
	"errors"
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
	// Until is when a revoked Credential expires by itself, so that the
	// revocation can be forgotten. The zero time means unknown: the revocation
	// is kept, except that of a ticket, which is single-use and is kept for
	// [RevocationMemory]. [MaxRevocations] are kept; beyond that, those that
	// end first are forgotten.
	Until time.Time
}

// Event is a change of [Revocations]: a revocation, a new credential epoch of a
// user, or both, because the revocation of a user begins a new epoch too.
type Event struct {
	// Revocation is what was revoked. It is zero if only an epoch began.
	Revocation Revocation
	// User is the user whose new epoch began, or "" if none did.
	User string
	// Epoch is the revision of that epoch, counted by Source.
	Epoch  uint64
	Source string
	// Decided is when the epoch began, by the clock of the process that has
	// decided it. The zero time means that it has just begun.
	Decided time.Time
	// Local reports whether this process has decided it. Events that Apply
	// learned from others are not local.
	Local bool
}

// Errors of [Revocations.Revoke] and [Revocations.Apply].
var (
	ErrRevocation     = errors.New("auth: a revocation names exactly one of user, session and credential")
	ErrRevocationTime = errors.New("auth: a revocation's time is more than 30 s in the future")
	// ErrNotKept means that a revocation or an epoch may not have been stored.
	// It has taken effect in this process: the credential is rejected, the
	// sessions have ended. But another process may know nothing of it, and
	// neither may the next one. Repeat it. Until then the user gets no tickets
	// here, and those that the user has are rejected. It wraps the [Keeper]'s
	// error.
	ErrNotKept = errors.New("auth: it is not known whether the revocation was stored")
)

// MaxRevocations is the maximum number of revoked credentials that are kept, at
// some 150 bytes each. A program that revokes more needs credentials that
// expire, and must set [Revocation].Until.
const MaxRevocations = 1 << 17

// longestKept is the maximum length in bytes of a credential's id that is kept
// as it is. A longer id is kept as its hash.
const longestKept = 64

// TicketCredential begins the CredentialID of the sessions of a ticket whose
// principal had none.
const TicketCredential = "ticket:"

// RevocationMemory is the minimum time for which a revoked credential is kept,
// and so the longest lifetime of a ticket: a revocation must not be forgotten
// while a ticket that was minted with the credential may be unused.
const RevocationMemory = time.Hour

// forever is later than the end of every credential.
var forever = time.Unix(1<<40, 0)

// began returns when the epoch of an event began, by our clock: not before it
// did, although the clock of the process that has decided it may be behind.
func (e *Event) began(now time.Time) time.Time {
	if at := e.Decided.Add(MaxClockSkew); !e.Decided.IsZero() && at.Before(now) {
		return at
	}
	return now
}

// subjects returns how many of User, Session and Credential are set.
func (r *Revocation) subjects() (n int) {
	for _, name := range [...]string{r.User, r.Session, r.Credential} {
		if name != "" {
			n++
		}
	}
	return n
}

// revokeCredential leaves the unused tickets in place: whoever consumes a
// ticket checks its credential. It therefore keeps the revocation for at least
// the lifetime of a ticket. It reports whether the credential was not revoked
// before. The caller holds v.mu.
func (v *Revocations) revokeCredential(r *Revocation, now time.Time) (news bool) {
	until := r.Until
	if until.IsZero() && !strings.HasPrefix(r.Credential, TicketCredential) {
		until = forever
	}
	key := strings.Clone(revocationKey(r.Credential)) // the id may be part of a large string
	before := v.credentials.Until(key)
	until = latest(until, now.Add(RevocationMemory), before)
	v.credentials.Keep(key, until, now)
	v.credentials.Bound(MaxRevocations)
	return !before.After(now)
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
