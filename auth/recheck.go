package auth

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Defaults of rechecks, for Authenticators that support them.
const (
	// DefaultRecheck is the maximum time between two checks of a session's
	// credential.
	DefaultRecheck = time.Minute
	// DefaultRecheckGrace is how long a session may continue while its
	// credential cannot be checked.
	DefaultRecheckGrace = 10 * time.Minute
)

// Recheck says how to check a principal's credential again while its session
// lives. It is for credentials that another party can withdraw at any time
// without notice, such as an opaque token that only its issuer knows. It is
// read-only.
//
// The broker calls Check from its own goroutines, for a bounded number of
// sessions at a time and at jittered times, so that sessions opened together do
// not all ask together. It calls Check no later than Every after the last good
// answer. A session ends
//
//   - with "session revoked" when Check rejects the credential
//   - with "the credential could not be checked again" when Check has had
//     no answer for Grace
//
// An opaque ticket passes on the Recheck of its principal. A signed ticket
// cannot: its session ends after Grace, unless it is renewed.
type Recheck struct {
	// Every is the maximum age of a good answer. It must be positive.
	Every time.Duration
	// Grace is how long a session may continue after its last good answer if no
	// other answer arrives. Zero means until the principal expires.
	Grace time.Duration
	// Asked is the time of the answer that accepted the principal.
	Asked time.Time
	// Check asks again for an answer that is at most maxAge old. It returns nil
	// if the credential is good, a [*Refusal] with status 401 or 403 if it is
	// rejected, and any other error if the answer is unknown; a panic also
	// means unknown. It must return soon after ctx is done, be safe for
	// concurrent use, and not disclose the credential.
	Check func(ctx context.Context, maxAge time.Duration) error
}

// Unchecked returns when a session ends whose credential cannot be checked
// again, for example because a ticket that carries no code was minted with it:
// Grace after the last answer, or an hour if there is no Grace.
func (r *Recheck) Unchecked() time.Time {
	if r.Grace <= 0 {
		return r.Asked.Add(RevocationMemory)
	}
	return r.Asked.Add(r.Grace)
}

// Withdrawn reports whether an error from Check means that the credential is no
// longer good, rather than that the answer is unknown.
func Withdrawn(err error) bool {
	var no *Refusal
	if !errors.As(err, &no) {
		return false
	}
	status := no.StatusCode()
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}
