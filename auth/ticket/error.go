package ticket

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/hoofbeat/hoofbeat/auth"
)

// Cause is the reason why a ticket was rejected. It is for the log: the client
// gets the same answer for every cause. A [Store] returns one as its error.
type Cause uint8

const (
	// Malformed: the text cannot be a ticket of ours.
	Malformed Cause = iota + 1
	// Unknown: the ticket was never minted, or was used up so long ago,
	// or so many tickets ago, that it is forgotten.
	Unknown
	// Used: the ticket was used before. It may have been stolen.
	Used
	// Expired: the ticket, or the credential that it was minted with, has
	// expired.
	Expired
	// Revoked: the user or the credential was revoked, or the user's
	// credential changed.
	Revoked
	// WrongOrigin: the ticket is bound to another origin. The attempt
	// makes it invalid.
	WrongOrigin
	// WrongUser: the ticket is good, but the connection or the login
	// belongs to another user. The attempt makes it invalid.
	WrongUser
	// FromFuture: the signed ticket was created more than
	// [MaxAhead] in the future.
	FromFuture
	// TooOld: the signed ticket was created before the Store, which cannot know
	// whether it has been used.
	TooOld
	// NoRoom: the signed ticket is good, but the limit of remembered used
	// tickets is reached.
	NoRoom
	// WrongSignature: the text has the form of a signed ticket, but its
	// signature is wrong, or its key is unknown.
	WrongSignature
)

var causes = [...]string{
	Malformed:      "malformed",
	Unknown:        "unknown",
	Used:           "used before",
	Expired:        "expired",
	Revoked:        "revoked",
	WrongOrigin:    "bound to another origin",
	WrongUser:      "of another user",
	FromFuture:     "created in the future",
	TooOld:         "older than this process",
	NoRoom:         "no room to remember its use",
	WrongSignature: "its signature is wrong, or made with a secret that is not known here",
}

// String returns the cause in a few words.
func (c Cause) String() string {
	if c == 0 || int(c) >= len(causes) {
		return fmt.Sprintf("Cause(%d)", uint8(c))
	}
	return causes[c]
}

// Error returns the text of String.
func (c Cause) Error() string { return c.String() }

// causeOf returns the cause that a store's error is.
func causeOf(err error) (Cause, bool) {
	c, ok := err.(Cause)
	if !ok {
		c, ok = errors.AsType[Cause](err)
	}
	return c, ok && c > 0 && int(c) < len(causes)
}

// Error is the error of [Issuer.Consume] for a rejected ticket. Its own text,
// for the log, has the cause and never the ticket. It unwraps to the same
// [*auth.Refusal] for every cause, 401 with the reason "invalid_ticket", so
// that an attacker who guesses or steals tickets learns nothing from the
// answer.
type Error struct {
	Cause Cause
	// User is the user of the ticket, for the log. It is empty for a ticket
	// without a user, and where neither a valid signature nor our own record of
	// the ticket proves it.
	User string
}

// Error returns the text for the log.
func (e *Error) Error() string { return "ticket refused: " + e.Cause.String() }

// Whose returns User. A broker looks for this method in the errors of its
// its
// Authenticator.
func (e *Error) Whose() string { return e.User }

// Unwrap returns the [*auth.Refusal] for the client.
func (e *Error) Unwrap() error {
	return &auth.Refusal{Status: http.StatusUnauthorized, Reason: "invalid_ticket"}
}
