package auth

import (
	"fmt"
	"net/http"
)

// TicketCause is the reason why a ticket was rejected. It is for the log: the
// client gets the same answer for every cause.
type TicketCause uint8

const (
	// TicketMalformed: the text cannot be a ticket of ours.
	TicketMalformed TicketCause = iota + 1
	// TicketUnknown: the ticket was never minted, or was used up so long ago,
	// or so many tickets ago, that it is forgotten.
	TicketUnknown
	// TicketUsed: the ticket was used before. It may have been stolen.
	TicketUsed
	// TicketExpired: the ticket, or the credential that it was minted with, has
	// expired.
	TicketExpired
	// TicketRevoked: the user or the credential was revoked, or the user's
	// credential changed.
	TicketRevoked
	// TicketWrongOrigin: the ticket is bound to another origin. The attempt
	// makes it invalid.
	TicketWrongOrigin
	// TicketWrongUser: the ticket is good, but the connection or the login
	// belongs to another user. The attempt makes it invalid.
	TicketWrongUser
	// TicketFromFuture: the signed ticket was created more than
	// [MaxTicketAhead] in the future.
	TicketFromFuture
	// TicketTooOld: the signed ticket was created before the Store, which
	// cannot know whether it has been used.
	TicketTooOld
	// TicketNoRoom: the signed ticket is good, but the limit of remembered used
	// tickets is reached.
	TicketNoRoom
	// TicketWrongSignature: the text has the form of a signed ticket, but its
	// signature is wrong, or its key is unknown.
	TicketWrongSignature
)

var ticketCauses = [...]string{
	TicketMalformed:      "malformed",
	TicketUnknown:        "unknown",
	TicketUsed:           "used before",
	TicketExpired:        "expired",
	TicketRevoked:        "revoked",
	TicketWrongOrigin:    "bound to another origin",
	TicketWrongUser:      "of another user",
	TicketFromFuture:     "created in the future",
	TicketTooOld:         "older than this process",
	TicketNoRoom:         "no room to remember its use",
	TicketWrongSignature: "its signature is wrong, or made with a secret that is not known here",
}

// String returns the cause in a few words.
func (c TicketCause) String() string {
	if c == 0 || int(c) >= len(ticketCauses) {
		return fmt.Sprintf("TicketCause(%d)", uint8(c))
	}
	return ticketCauses[c]
}

// TicketError is the error of [Tickets.Consume] for a rejected ticket. Its own
// text, for the log, has the cause and never the ticket. It unwraps to the same
// [*Refusal] for every cause, 401 with the reason "invalid_ticket", so that an
// attacker who guesses or steals tickets learns nothing from the answer.
type TicketError struct {
	Cause TicketCause
	// User is the user of the ticket, for the log. It is empty for a ticket
	// without a user, and where neither a valid signature nor our own record of
	// the ticket proves it.
	User string
}

// Error returns the text for the log.
func (e *TicketError) Error() string { return "auth: ticket refused: " + e.Cause.String() }

// Whose returns User. A broker looks for this method in the errors of its
// Authenticator.
func (e *TicketError) Whose() string { return e.User }

// Unwrap returns the [*Refusal] for the client.
func (e *TicketError) Unwrap() error {
	return &Refusal{Status: http.StatusUnauthorized, Reason: "invalid_ticket"}
}
