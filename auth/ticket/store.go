package ticket

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// Key identifies a ticket in a [Store]: the SHA-256 of an opaque ticket, or of
// the nonce of a signed one. It is kept instead of the ticket. Anyone who reads
// it cannot use it, and the time of a comparison reveals nothing, because
// nobody can choose its first bytes.
type Key [sha256.Size]byte

// Record is an unused opaque ticket.
type Record struct {
	Key Key
	// Subject is whom [Limits].PerSubject counts the ticket for: the user's
	// name or, for a backend, a NUL and the name of its secret.
	Subject string
	// Origin is the web origin that the ticket is bound to, or "".
	Origin string
	// Principal is that of the session. It is shared and must not be changed.
	Principal *auth.Principal
	// Expires is when the ticket expires. The Issuer compares it with its own
	// clock, so a store may forget the ticket later, but never earlier.
	Expires time.Time
	// Epoch is the credential epoch that the user had before the credential was
	// checked, and Source where it was counted.
	Source string
	Epoch  uint64
}

// Use is a signed ticket that is presented.
type Use struct {
	Key Key
	// Created and Expires are the times that the ticket states.
	Created, Expires time.Time
}

// Limits are those of an [Options], for every call.
type Limits struct {
	// PerSubject is the maximum number of unused tickets of a subject.
	PerSubject int
	// Outstanding is the maximum number of unused tickets, or of used signed
	// ones, in all.
	Outstanding int
	// SubjectBytes and Bytes are the maximum memory of the principals of unused
	// tickets, of a subject and in all, in bytes.
	SubjectBytes, Bytes int64
}

// Store keeps what makes tickets single-use. [Memory] is one, for one process.
// Issuers of several processes accept a ticket only once, if they share a Store
// and the [auth.Revocations.Source] of their revocations.
//
// A Store does not decide whether a ticket is good: the Issuer looks at expiry,
// origin, epoch and revocations after the Store has answered. If the Store
// knows that a ticket must be rejected, its error is a [Cause]. Any other error
// means that it could not answer: then the Issuer mints nothing and accepts
// nobody, and the ticket may be used up. ctx ends after 10 s, unless the caller
// of the Issuer has set a deadline. A Store must return soon after ctx is done,
// and must be safe for concurrent use.
type Store interface {
	// Put adds an unused ticket. The error is a [*FullError] if a limit is
	// reached, and [ErrContent] for a principal that the Store cannot keep.
	Put(ctx context.Context, r Record, l Limits) error
	// Take removes an unused ticket and returns it. Of all calls with the same
	// key, in all processes, at most one returns the ticket. The others get
	// [Used] or [Unknown], and a Record that has the Subject if it is known.
	Take(ctx context.Context, key Key) (Record, error)
	// Spend remembers a signed ticket as used, until it has expired by the
	// clock of every process that shares the Store. Of all calls with the same
	// key, in all processes, at most one returns nil. The others get [Used].
	// The error is [TooOld] if the Store cannot know whether the ticket was
	// used before, because it was created too long ago, and [NoRoom] if a limit
	// is reached. A Store may answer [Expired] for a ticket that has expired,
	// and need not remember it.
	Spend(ctx context.Context, u Use, l Limits) error
}

// FullError is the error of [Store.Put] for a ticket that exceeds a limit.
type FullError struct {
	// RetryAfter is when there may be room.
	RetryAfter time.Duration
}

// Error says that there are too many tickets.
func (e *FullError) Error() string {
	return fmt.Sprintf("ticket: too many unused tickets; wait %v", e.RetryAfter)
}

// StoreError is the error of an [Issuer] whose [Store] could not answer. It
// says nothing about the ticket or the client. It unwraps to a
// [*auth.Refusal], 503, with a constant text for the client, and to the Store's
// error for the log. A Store that has no room says so itself: if its error is
// an [*auth.Refusal], that is what the client is told.
type StoreError struct {
	Err error
}

// Error returns the text for the log.
func (e *StoreError) Error() string { return "ticket: the store could not answer: " + e.Err.Error() }

// Unwrap returns the [*auth.Refusal] for the client, and Err.
func (e *StoreError) Unwrap() []error {
	if _, told := errors.AsType[*auth.Refusal](e.Err); told {
		return []error{e.Err}
	}
	return []error{&auth.Refusal{
		Status: http.StatusServiceUnavailable, RetryAfter: storeRetry, Reason: "tickets are not available at the moment",
	}, e.Err}
}

// storePatience is how long a Store may take if the caller has set no deadline,
// as browsers do not.
const storePatience = 10 * time.Second

// patience returns the context for a call of the store.
func (t *Issuer) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, limited := ctx.Deadline(); limited || t.local {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, storePatience)
}

// storeRetry is when a client should try again after a StoreError.
const storeRetry = 2 * time.Second
