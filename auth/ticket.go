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

// MaxTicketTTL is the longest lifetime of a ticket. Use another kind of
// credential for more.
const MaxTicketTTL = time.Hour

// MaxTicketAhead is the maximum lead over our clock of a program that signs
// tickets itself. A ticket created less far in the future is accepted once its
// time has come; one created further in the future is rejected.
const MaxTicketAhead = time.Second

// MaxTicketBytes is the maximum length of a ticket in bytes. An opaque ticket
// has 43 bytes. A signed ticket contains its principal and must fit into the
// request line of every proxy.
const MaxTicketBytes = 4096

// MaxOperationBytes is the maximum length in bytes of the name of an operation
// that a ticket is bound to.
const MaxOperationBytes = 256

// RoleBackend is the role of the principals of [Tickets.MintBackend], which
// have no name.
const RoleBackend = "backend"

// operationScope begins the scope that binds a session to one operation.
const operationScope = "operation:"

// Ticket lets one client connect once. Formatting it with fmt, slog or
// encoding/json shows when it expires, but not the ticket itself; read the
// field Value to hand it out.
type Ticket struct {
	// Value is the text that the client presents: 43 characters of base64url,
	// or several hundred characters if the ticket is signed. It needs no
	// escaping in a URL or in a Sec-WebSocket-Protocol header.
	Value string `json:"-"`
	// Expires is when the ticket expires, a whole second.
	Expires time.Time `json:"expires"`
}

// Format writes t without Value for every fmt verb.
func (t Ticket) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "ticket until "+t.Expires.UTC().Format(time.RFC3339))
}

// Grant describes a ticket to mint.
type Grant struct {
	// Principal is the session's principal. The session gets all its fields,
	// and ends when it expires. It must have a name. [Tickets.MintBackend] sets
	// it itself.
	Principal *Principal
	// TTL is the ticket's lifetime, rounded up so that it expires at a whole
	// second. Zero means [TicketOptions.TTL], which is also the maximum. No
	// ticket outlives its principal.
	TTL time.Duration
	// Operation, if set, binds the session to one operation: the session gets
	// the scope "operation:" followed by this name. The name is at most
	// [MaxOperationBytes] of text without control characters. A principal that
	// already has such a scope can get tickets for that operation only.
	Operation string
	// Origin, if set, is the only web origin, such as https://app.example.com,
	// whose pages may use the ticket. An attempt from another origin is treated
	// as theft and makes the ticket invalid.
	Origin string
}

// Errors of [Tickets.Mint] that are mistakes of the caller.
var (
	// ErrNobody reports a ticket request without a named principal.
	ErrNobody = errors.New("auth: a ticket is minted for a principal with a valid name only")
	// ErrOperation reports an operation name that is too long, has control
	// characters, or differs from the one that the principal is bound to.
	ErrOperation = errors.New("auth: an operation is at most 256 bytes of printable text, and no other than the credential's own")
	// ErrTicketTTL reports a lifetime that is negative or longer than
	// TicketOptions.TTL.
	ErrTicketTTL = errors.New("auth: the ticket's lifetime is negative or longer than TicketOptions.TTL")
	// ErrOrigin reports a text that is not a web origin.
	ErrOrigin = errors.New("auth: an origin is a scheme, a host and perhaps a port, such as https://app.example.com")
	// ErrTicketContent reports a signed ticket that would exceed
	// MaxTicketBytes, or a principal that JSON cannot express.
	ErrTicketContent = errors.New("auth: the principal does not fit into the JSON of a signed ticket of 4096 bytes")
	// ErrNoSecret reports that anonymous tickets are unavailable because no
	// secret is configured.
	ErrNoSecret = errors.New("auth: anonymous tickets need a secret in TicketOptions.Secrets, and there is none")
)

// claim returns the principal of a ticket for g, and the origin that the ticket
// is bound to.
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
