package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"time"
)

// Tickets mints and consumes tickets: names of 256 random bits, each of which lets one client in once, within a few
// minutes. A page that has a credential it can send by HTTP, but not with a WebSocket's handshake, exchanges it for a
// ticket and puts that into the WebSocket's URL, where a secret of longer life must not be.
//
// It is an [Authenticator] at every stage. [Tickets.Handler] is the HTTP endpoint that clients ask for tickets. A
// Tickets is safe for concurrent use and starts no goroutine.
type Tickets struct {
	store       *Store
	ttl         time.Duration
	signed      bool
	secrets     []secret
	perSubject  int
	outstanding int
	rate        limiter
}

var _ Authenticator = (*Tickets)(nil)

// Mint makes a ticket for g.Principal. The error is
//
//   - [ErrNobody], [ErrOperation], [ErrTicketTTL], [ErrOrigin] or [ErrTicketContent] for a grant that cannot be
//   - a [*Refusal], 401, if the principal's credential has expired or was revoked, also while Mint was running
//   - a [*Refusal], 429 with RetryAfter, if the user has too many unused tickets or gets them too fast, or there are
//     too many in all
//   - ctx's if it is done
//
// and then there is no ticket.
func (t *Tickets) Mint(ctx context.Context, g Grant) (Ticket, error) {
	return t.mintFor(ctx, g, t.store.now(), nil)
}

// mintFor is Mint with a stamp from before the principal's credential was checked. permit, if set, has the last word.
func (t *Tickets) mintFor(ctx context.Context, g Grant, since int64, permit func(context.Context) error) (Ticket, error) {
	if g.Principal.Anonymous() || ValidName(g.Principal.Name) != nil {
		return Ticket{}, ErrNobody
	}
	return t.mint(ctx, g, g.Principal.Name, since, permit)
}

// MintBackend makes a ticket for an anonymous principal with the role [RoleBackend], for whoever knows one of
// [TicketOptions.Secrets]: a back end that publishes. The principal's CredentialID is "backend:" and the secret's ID,
// so that all that came in by a secret can be revoked. g.Principal is not looked at; all back ends with the same
// secret count as one user for the limits.
//
// The errors are those of Mint, [ErrNoSecret] if no secret is configured, and a [*Refusal], 401, for a wrong one.
func (t *Tickets) MintBackend(ctx context.Context, secret string, g Grant) (Ticket, error) {
	if len(t.secrets) == 0 {
		return Ticket{}, ErrNoSecret
	}
	id, sum := "", sha256.Sum256([]byte(secret))
	for i := range t.secrets {
		if s := &t.secrets[i]; subtle.ConstantTimeCompare(sum[:], s.sum[:]) == 1 {
			id = s.id
		}
	}
	if id == "" {
		return Ticket{}, &Refusal{Status: http.StatusUnauthorized, Reason: "the secret is wrong"}
	}
	return t.backend(ctx, id, g)
}

// MintBackendFor is MintBackend without a secret, for a caller that the program trusts as much, such as one with the
// token of the admin API. The principal's CredentialID is "backend:" and name, and all with the same name count as one
// user for the limits. Take a name that no [Secret] can have, such as "@admin". The errors are those of Mint.
func (t *Tickets) MintBackendFor(ctx context.Context, name string, g Grant) (Ticket, error) {
	return t.backend(ctx, name, g)
}

func (t *Tickets) backend(ctx context.Context, id string, g Grant) (Ticket, error) {
	since := t.store.now()
	g.Principal = &Principal{Roles: []string{RoleBackend}, Issued: time.Now(), CredentialID: "backend:" + id}
	return t.mint(ctx, g, "\x00"+id, since, nil) // no user's name has a NUL
}

func (t *Tickets) mint(ctx context.Context, g Grant, subject string, since int64, permit func(context.Context) error) (Ticket, error) {
	if err := ctx.Err(); err != nil {
		return Ticket{}, err
	}
	if g.TTL == 0 {
		g.TTL = t.ttl
	}
	if g.TTL < 0 || g.TTL > t.ttl {
		return Ticket{}, ErrTicketTTL
	}
	p, origin, err := g.claim()
	if err != nil {
		return Ticket{}, err
	}
	now := time.Now()
	expires, ok := p.ticketExpiry(now, g.TTL)
	if !ok {
		return Ticket{}, errWithdrawn()
	}
	if wait := t.rate.take(subject, now); wait > 0 {
		return Ticket{}, tooMany(wait, "too many tickets at once")
	}
	if permit != nil { // after the rate, for it may ask others
		if err := permit(ctx); err != nil {
			return Ticket{}, err
		}
	}
	if p.Issued.IsZero() {
		p.Issued = now // so that a revocation of the user finds the session also while it is being opened
	}
	if t.signed {
		return t.mintSigned(p, origin, expires, since)
	}
	var random [32]byte
	rand.Read(random[:]) // never fails
	value := base64.RawURLEncoding.EncodeToString(random[:])
	e := &entry{key: sha256.Sum256([]byte(value)), subject: subject, origin: origin, principal: p, expires: expires}
	p.nameAfter(e.key)
	if err := t.store.put(e, since, t.perSubject, t.outstanding); err != nil {
		return Ticket{}, err
	}
	return Ticket{Value: value, Expires: expires}, nil
}

// ticketExpiry returns the whole second at which a ticket of p expires, and whether that is after now.
func (p *Principal) ticketExpiry(now time.Time, ttl time.Duration) (expires time.Time, ok bool) {
	expires = now.Add(ttl + time.Second - 1).Truncate(time.Second)
	if !p.Expires.IsZero() && p.Expires.Before(expires) {
		expires = p.Expires.Truncate(time.Second)
	}
	return expires, now.Before(expires)
}

// nameAfter makes sure that the sessions of a ticket can be revoked together, if its credential had no id.
func (p *Principal) nameAfter(ticket digest) {
	if p.CredentialID == "" {
		p.CredentialID = ticketCredential + hex.EncodeToString(ticket[:16])
	}
}

func tooMany(wait time.Duration, reason string) error {
	return &Refusal{Status: http.StatusTooManyRequests, RetryAfter: wait, Reason: reason}
}

// Consume takes a ticket out of the world and returns whom it lets in. Of any number of calls with the same ticket
// one at most succeeds. origin is that of the page that presents it, "" if none does.
//
// The principal is the one the ticket was minted for, with the expiry of its credential and not the ticket's, with
// the scope "operation:…" if the ticket is for one, and with the ticket's own CredentialID and time of issue if the
// credential had none. It is shared and must not be changed.
//
// Whatever is wrong with the ticket, the error is a [*TicketError]. If ctx is done, it is ctx's and the ticket is
// as good as before.
func (t *Tickets) Consume(ctx context.Context, value, origin string) (*Principal, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return t.consume(ctx, value, &origin)
}

// consume is Consume; a nil origin is not compared.
func (t *Tickets) consume(ctx context.Context, value string, origin *string) (*Principal, error) {
	if t.signed {
		return t.consumeSigned(ctx, value, origin)
	}
	var text [43]byte // on the stack
	if len(value) != len(text) {
		return nil, &TicketError{TicketMalformed}
	}
	copy(text[:], value)
	p, cause := t.store.take(sha256.Sum256(text[:]), origin)
	if cause != 0 {
		return nil, &TicketError{cause}
	}
	return p, nil
}

// Authenticate consumes the attempt's ticket; without one the answer is [ErrNotMine]. A CONNECT whose login names
// another user than the handshake has established is refused and leaves the ticket as good as before. A ticket of
// another user than the handshake or the login says is refused and dead.
//
// The origin that a bound ticket is compared with is the handshake's at all stages, and none on plain TCP. A renewal
// is not compared, because no page could have brought it but the one that opened the session; that the user is the
// session's is for the broker to compare.
func (t *Tickets) Authenticate(ctx context.Context, a *Attempt) (*Principal, error) {
	if a.Ticket == "" {
		return nil, ErrNotMine
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch a.Stage {
	case StageHandshake:
		origin := a.Header("Origin")
		return t.consume(ctx, a.Ticket, &origin)
	case StageConnect:
		return t.connect(ctx, a)
	case StageRenew:
		return t.consume(ctx, a.Ticket, nil)
	default:
		return nil, ErrNotMine
	}
}

func (t *Tickets) connect(ctx context.Context, a *Attempt) (*Principal, error) {
	if err := a.CheckLogin(); err != nil {
		return nil, err
	}
	var origin string
	if a.Handshake != nil {
		origin = a.Handshake.Header.Get("Origin")
	}
	p, err := t.consume(ctx, a.Ticket, &origin)
	if err != nil {
		return nil, err
	}
	if a.Principal != nil && a.Principal.Name != p.Name || a.Login != "" && a.Login != p.Name {
		return nil, &TicketError{TicketWrongUser}
	}
	return p, nil
}
