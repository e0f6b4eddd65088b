package ticket

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// MaxTTL is the longest lifetime of a ticket. Use another kind of
// credential for more.
const MaxTTL = auth.RevocationMemory

// MaxAhead is the maximum lead over our clock of a program that signs
// tickets itself. A ticket created less far in the future is accepted once its
// time has come; one created further in the future is rejected.
const MaxAhead = time.Second

// MaxBytes is the maximum length of a ticket in bytes. An opaque ticket
// has 43 bytes. A signed ticket contains its principal and must fit into the
// request line of every proxy.
const MaxBytes = 4096

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
	// and ends when it expires. It must have a name. [Issuer.MintBackend] sets
	// it itself.
	Principal *auth.Principal
	// TTL is the ticket's lifetime, rounded up so that it expires at a whole
	// second. Zero means [Options.TTL], which is also the maximum. No
	// ticket outlives its principal.
	TTL time.Duration
	// Operation, if set, binds the session to one operation: the session gets
	// the scope "operation:" followed by this name. The name is at most
	// [auth.MaxOperationBytes] of text without control characters. A principal
	// that already has such a scope can get tickets for that operation only.
	Operation string
	// Origin, if set, is the only web origin, such as https://app.example.com,
	// whose pages may use the ticket. An attempt from another origin is treated
	// as theft and makes the ticket invalid.
	Origin string
	// Since is [auth.Revocations.Now] from before the principal's credential
	// was checked. If the user's credential changes after it, there is no
	// ticket. Zero means when Mint is called.
	Since auth.Moment
}

// Errors of [Issuer.Mint] that are mistakes of the caller.
var (
	// ErrNobody reports a ticket request without a named principal.
	ErrNobody = errors.New("ticket: a ticket is minted for a principal with a valid name only")
	// ErrOperation reports an operation name that is too long, has control
	// characters, or differs from the one that the principal is bound to.
	ErrOperation = errors.New("ticket: an operation is at most 256 bytes of printable text, and no other than the credential's own")
	// ErrTTL reports a lifetime that is negative or longer than
	// Options.TTL.
	ErrTTL = errors.New("ticket: the ticket's lifetime is negative or longer than Options.TTL")
	// ErrOrigin reports a text that is not a web origin.
	ErrOrigin = errors.New("ticket: an origin is a scheme, a host and perhaps a port, such as https://app.example.com")
	// ErrContent reports a signed ticket that would exceed
	// MaxBytes, or a principal that JSON, or the Store, cannot express.
	ErrContent = errors.New("ticket: the principal does not fit into the JSON of a signed ticket of 4096 bytes, or into the store of tickets")
	// ErrNoSecret reports that anonymous tickets are unavailable because no
	// secret is configured.
	ErrNoSecret = errors.New("ticket: anonymous tickets need a secret in Options.Secrets, and there is none")
)

// claim returns the principal of a ticket for g, and the origin that the ticket
// is bound to.
func (g *Grant) claim() (p *auth.Principal, origin string, err error) {
	if g.Origin != "" {
		o, err := httpsec.Parse(g.Origin)
		if err != nil {
			return nil, "", ErrOrigin
		}
		origin = o.String()
	}
	p = new(auth.Principal)
	*p = *g.Principal
	p.Method = "ticket"
	if g.Operation == "" {
		return p, origin, nil
	}
	scope := auth.OperationScope + g.Operation
	bound := slices.ContainsFunc(p.Scopes, func(s string) bool { return strings.HasPrefix(s, auth.OperationScope) })
	if !validOperation(g.Operation) || bound && !p.HasScope(scope) {
		return nil, "", ErrOperation
	}
	if !bound {
		p.Scopes = append(slices.Clone(p.Scopes), scope)
	}
	return p, origin, nil
}

func validOperation(name string) bool {
	return len(name) <= auth.MaxOperationBytes && utf8.ValidString(name) && strings.IndexFunc(name, unicode.IsControl) < 0
}
