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

// Tickets mints and consumes tickets: 256 random bits, each of which lets one
// client connect once, within a few minutes. A page has a credential that it
// can send by HTTP but not with a WebSocket handshake. It exchanges the
// credential for a ticket and puts the ticket into the WebSocket's URL, where a
// long-lived secret must not be.
//
// It is an [Authenticator] at every stage. [Tickets.Handler] is the HTTP
// endpoint from which clients request tickets. A Tickets is safe for concurrent
// use and starts no goroutine.
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
//   - [ErrNobody], [ErrOperation], [ErrTicketTTL], [ErrOrigin] or
//     [ErrTicketContent] for an invalid grant
//   - a [*Refusal], 401, if the principal's credential has expired or was
//     revoked, even while Mint was running
//   - a [*Refusal], 429 with RetryAfter, if the user has too many unused
//     tickets or requests them too fast, or there are too many in all
//   - ctx's error if ctx is done
//
// If there is an error, there is no ticket.
func (t *Tickets) Mint(ctx context.Context, g Grant) (Ticket, error) {
	return t.mintFor(ctx, g, t.store.now(), nil)
}

// mintFor is Mint with a stamp from before the principal's credential was
// checked. permit, if set, is called last and can prevent the ticket.
func (t *Tickets) mintFor(ctx context.Context, g Grant, since int64, permit func(context.Context) error) (Ticket, error) {
	if g.Principal.Anonymous() || ValidName(g.Principal.Name) != nil {
		return Ticket{}, ErrNobody
	}
	return t.mint(ctx, g, g.Principal.Name, since, permit)
}

// MintBackend makes a ticket for an anonymous principal with the role
// [RoleBackend]: a backend that publishes. The backend authenticates with one
// of [TicketOptions.Secrets]. The principal's CredentialID is "backend:" and
// the secret's ID, so that all sessions of a secret can be revoked. g.Principal
// is ignored. For the limits, all backends with the same secret count as one
// user.
//
// The errors are those of Mint, [ErrNoSecret] if no secret is configured, and a
// [*Refusal], 401, for a wrong one.
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

// MintBackendFor is MintBackend without a secret, for a caller that the program
// trusts equally, such as one with the token of the admin API. The principal's
// CredentialID is "backend:" and name, and all callers with the same name count
// as one user for the limits. Choose a name that no [Secret] can have, such as
// "@admin". The errors are those of Mint.
func (t *Tickets) MintBackendFor(ctx context.Context, name string, g Grant) (Ticket, error) {
	return t.backend(ctx, name, g)
}

func (t *Tickets) backend(ctx context.Context, id string, g Grant) (Ticket, error) {
	since := t.store.now()
	g.Principal = &Principal{Roles: []string{RoleBackend}, Issued: time.Now(), CredentialID: "backend:" + id}
	return t.mint(ctx, g, "\x00"+id, since, nil) // no user's name contains a NUL
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
	if permit != nil { // after the rate limit, because it may query another service
		if err := permit(ctx); err != nil {
			return Ticket{}, err
		}
	}
	if p.Issued.IsZero() {
		// A revocation of the user then also finds a session that is being
		// opened.
		p.Issued = now
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

// ticketExpiry returns the whole second at which a ticket of p expires, and
// whether that is after now.
func (p *Principal) ticketExpiry(now time.Time, ttl time.Duration) (expires time.Time, ok bool) {
	expires = now.Add(ttl + time.Second - 1).Truncate(time.Second)
	if !p.Expires.IsZero() && p.Expires.Before(expires) {
		expires = p.Expires.Truncate(time.Second)
	}
	return expires, now.Before(expires)
}

// nameAfter sets the CredentialID if the credential had none, so that the
// sessions of a ticket can be revoked together.
func (p *Principal) nameAfter(ticket digest) {
	if p.CredentialID == "" {
		p.CredentialID = ticketCredential + hex.EncodeToString(ticket[:16])
	}
}

func tooMany(wait time.Duration, reason string) error {
	return &Refusal{Status: http.StatusTooManyRequests, RetryAfter: wait, Reason: reason}
}

// Consume redeems a ticket and returns its principal. Among any number of calls
// with the same ticket, at most one succeeds. origin is that of the page that
// presents the ticket, or "" without a page.
//
// The principal is the one that the ticket was minted for, and expires with its
// credential, not with the ticket. It has the scope "operation:…" if the ticket
// is for an operation. If the credential had no CredentialID or time of issue,
// it has the ticket's. It is shared and must not be changed.
//
// The error for an invalid ticket is a [*TicketError]. If ctx is done, the
// error is ctx's and the ticket remains valid.
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
		return nil, &TicketError{Cause: TicketMalformed}
	}
	copy(text[:], value)
	p, cause, user := t.store.take(sha256.Sum256(text[:]), origin)
	if cause != 0 {
		return nil, &TicketError{cause, user}
	}
	return p, nil
}

// Authenticate consumes the attempt's ticket; without a ticket it returns
// [ErrNotMine]. If CONNECT's login names another user than the handshake
// established, it rejects the attempt and the ticket remains valid. If the
// ticket belongs to another user than the handshake or the login names, it
// rejects the attempt and the ticket becomes invalid.
//
// It compares the origin of a bound ticket with that of the handshake, also at
// CONNECT; plain TCP has no origin. It does not compare the origin at a
// renewal, because only the page that opened the session can send one. The
// broker checks that the renewed principal is the session's user.
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
		return nil, &TicketError{TicketWrongUser, p.Name}
	}
	return p, nil
}
