package auth

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// MaxTicketTTL is the longest that a ticket may live. What lives longer should be a credential of its own.
const MaxTicketTTL = time.Hour

// MaxTicketAhead is how far ahead of ours the clock of a program may be that signs tickets itself. A ticket that was
// created in the future by less is taken when its time has come; one that was by more is refused.
const MaxTicketAhead = time.Second

// MaxTicketBytes is the longest that a ticket may be. Opaque ones have 43 bytes; a signed one carries its principal,
// and has to fit into the request line of every proxy.
const MaxTicketBytes = 4096

// MaxOperationBytes is the longest name of an operation that a ticket may be bound to.
const MaxOperationBytes = 256

// RoleBackend is the role of the principals that [Tickets.MintBackend] makes tickets for. They have no name.
const RoleBackend = "backend"

// operationScope begins the scope that binds a session to one operation.
const operationScope = "operation:"

// Ticket lets one client in once. Formatting it with fmt, slog or encoding/json shows when it expires and not the
// ticket itself, so to hand it out takes the field Value.
type Ticket struct {
	// Value is what the client presents: 43 characters of base64url, or several hundred if it is signed. All of
	// them may stand in a URL and in a Sec-WebSocket-Protocol header as they are.
	Value string `json:"-"`
	// Expires is when it is refused, a whole second.
	Expires time.Time `json:"expires"`
}

// Format writes a for fmt, whatever the verb, without Value.
func (t Ticket) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "ticket until "+t.Expires.UTC().Format(time.RFC3339))
}

// Grant is what a ticket is to be minted for.
type Grant struct {
	// Principal is whom the ticket lets in: all it has is in the end that of the session, and the session ends when
	// it expires. It has a name. [Tickets.MintBackend] sets it by itself.
	Principal *Principal
	// TTL is how long the ticket lives, rounded up so that it expires at a whole second; [TicketOptions.TTL] if
	// zero, and never longer than that. No ticket outlives its principal.
	TTL time.Duration
	// Operation, if set, binds the session to one operation: it gets the scope "operation:" followed by this. It is
	// at most [MaxOperationBytes] of text without control characters. A principal that has such a scope already
	// gets tickets for the same operation only.
	Operation string
	// Origin, if set, is the web origin, such as https://app.example.com, whose pages alone may use the ticket. If
	// another tries, the ticket is dead: it has been stolen.
	Origin string
}

// Errors of [Tickets.Mint] that are the caller's mistakes.
var (
	// ErrNobody says that a ticket was asked for without a named principal.
	ErrNobody = errors.New("auth: a ticket is minted for a principal with a valid name only")
	// ErrOperation says that an operation's name is too long, has control characters, or is not the one that the
	// principal is bound to.
	ErrOperation = errors.New("auth: an operation is at most 256 bytes of printable text, and no other than the credential's own")
	// ErrTicketTTL says that a ticket was asked to live longer than TicketOptions.TTL, or less than no time.
	ErrTicketTTL = errors.New("auth: the ticket's lifetime is negative or longer than TicketOptions.TTL")
	// ErrOrigin says that something is not a web origin.
	ErrOrigin = errors.New("auth: an origin is a scheme, a host and perhaps a port, such as https://app.example.com")
	// ErrTicketContent says that a signed ticket would be longer than MaxTicketBytes, or that its principal has what
	// JSON cannot express.
	ErrTicketContent = errors.New("auth: the principal does not fit into the JSON of a signed ticket of 4096 bytes")
	// ErrNoSecret says that no secret is configured that could entitle anybody to an anonymous ticket.
	ErrNoSecret = errors.New("auth: anonymous tickets need a secret in TicketOptions.Secrets, and there is none")
)

// claim returns the principal that a ticket for g lets in, and the origin it is bound to.
func (g *Grant) claim() (p *Principal, origin string, err error) {
	if g.Origin != "" {
		o, err := httpsec.Parse(g.Origin)
		if err != nil {
			return nil, "", ErrOrigin
		}
		origin = o.String()
	}
	p = new(Principal)
	*p = *g.Principal
	p.Method = "ticket"
	if g.Operation == "" {
		return p, origin, nil
	}
	scope := operationScope + g.Operation
	bound := slices.ContainsFunc(p.Scopes, func(s string) bool { return strings.HasPrefix(s, operationScope) })
	if !validOperation(g.Operation) || bound && !p.HasScope(scope) {
		return nil, "", ErrOperation
	}
	if !bound {
		p.Scopes = append(slices.Clone(p.Scopes), scope)
	}
	return p, origin, nil
}

func validOperation(name string) bool {
	return len(name) <= MaxOperationBytes && utf8.ValidString(name) && strings.IndexFunc(name, unicode.IsControl) < 0
}
