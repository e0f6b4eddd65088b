package auth

import (
	"fmt"
	"net/http"
)

// TicketCause is why a ticket was refused. It is for the log: the client is told the same whatever it is.
type TicketCause uint8

const (
	// TicketMalformed: it cannot be one of ours, or its signature is wrong or made with an unknown key.
	TicketMalformed TicketCause = iota + 1
	// TicketUnknown: nobody minted it, or it was dead so long or so many have been since that it is forgotten.
	TicketUnknown
	// TicketUsed: it was used before. Somebody may have got hold of it.
	TicketUsed
	// TicketExpired: it, or the credential that it was minted with, has expired.
	TicketExpired
	// TicketRevoked: its user or credential was revoked, or its user's credential changed.
	TicketRevoked
	// TicketWrongOrigin: it is bound to another origin, and is dead for that.
	TicketWrongOrigin
	// TicketWrongUser: it is good, but the connection or the login is another user's. It is dead for that.
	TicketWrongUser
	// TicketFromFuture: it is signed, and was created more than [MaxTicketAhead] in the future.
	TicketFromFuture
	// TicketTooOld: it is signed, and was created before the Store, which cannot know whether it has been used.
	TicketTooOld
	// TicketNoRoom: it is signed and good, but so many have been used that one more cannot be remembered.
	TicketNoRoom
)

var ticketCauses = [...]string{
	TicketMalformed:   "malformed",
	TicketUnknown:     "unknown",
	TicketUsed:        "used before",
	TicketExpired:     "expired",
	TicketRevoked:     "revoked",
	TicketWrongOrigin: "bound to another origin",
	TicketWrongUser:   "of another user",
	TicketFromFuture:  "created in the future",
	TicketTooOld:      "older than this process",
	TicketNoRoom:      "no room to remember its use",
}

// String returns the cause in a few words.
func (c TicketCause) String() string {
	if c == 0 || int(c) >= len(ticketCauses) {
		return fmt.Sprintf("TicketCause(%d)", uint8(c))
	}
	return ticketCauses[c]
}

// TicketError is what [Tickets.Consume] returns for a ticket that lets nobody in. Its own text, for the log, has the
// cause and never the ticket; it unwraps to one and the same [*Refusal] for every cause, 401 with the reason
// "invalid_ticket", so that whoever guesses or steals tickets learns nothing from the answer.
type TicketError struct {
	Cause TicketCause
}

// Error returns the text for the log.
func (e *TicketError) Error() string { return "auth: ticket refused: " + e.Cause.String() }

// Unwrap returns the [*Refusal] that the client is told.
func (e *TicketError) Unwrap() error {
	return &Refusal{Status: http.StatusUnauthorized, Reason: "invalid_ticket"}
}
