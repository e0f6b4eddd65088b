package auth

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Defaults of rechecks, for Authenticators that offer them.
const (
	// DefaultRecheck is how long a session goes on at most before its credential is
	// looked at again.
	DefaultRecheck = time.Minute
	// DefaultRecheckGrace is how long it goes on while nobody can tell.
	DefaultRecheckGrace = 10 * time.Minute
)

// Recheck says how a principal's credential is looked at again while its session
// lives: for a credential that somebody else can withdraw at any time without
// telling us, such as an opaque token that only its issuer knows. It is read-only.
//
// The broker calls Check from goroutines of its own, for a bounded number of
// sessions at a time and at a jittered time, so that the sessions of a moment do
// not all ask at once, and no later than Every after the last good answer. A
// session ends
//
//   - with "session revoked" when the answer is no
//   - with "the credential could not be checked again" when there has been no answer
//     for Grace, because from then on nobody vouches for it
//
// A ticket that is not signed hands the Recheck of its principal on. A signed one
// cannot: its session ends, unless it is renewed, after Grace.
type Recheck struct {
	// Every is how old a good answer may be. Positive.
	Every time.Duration
	// Grace is how long after the last good answer a session ends that gets no other.
	// Zero means no such end: until the principal expires.
	Grace time.Duration
	// Asked is when the answer was given that let the principal in.
	Asked time.Time
	// Check asks again, for an answer that is at most maxAge old. Nil means that the
	// credential is good; a [*Refusal] with status 401 or 403 that it is not; any
	// other error, or a panic, that nobody can tell now. It returns soon after ctx is
	// done, is safe for concurrent use and keeps the credential to itself.
	Check func(ctx context.Context, maxAge time.Duration) error
}

// Withdrawn reports whether an error of Check means that the credential is not good
// any more, and not only that nobody can tell.
func Withdrawn(err error) bool {
	var no *Refusal
	if !errors.As(err, &no) {
		return false
	}
	status := no.StatusCode()
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// unchecked returns when a session that cannot be rechecked ends.
func (r *Recheck) unchecked() time.Time {
	grace := r.Grace
	if grace <= 0 {
		grace = MaxTicketTTL
	}
	return r.Asked.Add(grace)
}
