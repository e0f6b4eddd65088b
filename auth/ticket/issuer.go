package ticket

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// Issuer mints and consumes tickets. It is an [auth.Authenticator] at every
// stage. [Issuer.Handler] is the HTTP endpoint from which clients request
// tickets. An Issuer is safe for concurrent use. Create it with [New].
type Issuer struct {
	store       Store
	revocations *auth.Revocations
	ttl         time.Duration
	signed      bool
	secrets     []secret
	limits      Limits
	local       bool // the store is in memory
	rate        limiter
}

var _ auth.Authenticator = (*Issuer)(nil)

// Mint makes a ticket for g.Principal. The error is
//
//   - [ErrNobody], [ErrOperation], [ErrTTL], [ErrOrigin] or
//     [ErrContent] for an invalid grant
//   - a [*auth.Refusal], 401, if the principal's credential has expired or was
//     revoked, even while Mint was running
//   - a [*auth.Refusal], 429 with RetryAfter, if the user has too many unused
//     tickets or requests them too fast, or there are too many in all
//   - ctx's error if ctx is done
//   - a [*StoreError], which unwraps to a [*auth.Refusal], 503, if the Store
//     could not answer
//
// If there is an error, there is no ticket.
func (t *Issuer) Mint(ctx context.Context, g Grant) (Ticket, error) { return t.mintFor(ctx, g, nil) }

// mintFor is Mint. permit, if set, is called last and can prevent the ticket.
func (t *Issuer) mintFor(ctx context.Context, g Grant, permit func(context.Context) error) (Ticket, error) {
	if g.Principal.Anonymous() || auth.ValidName(g.Principal.Name) != nil {
		return Ticket{}, ErrNobody
	}
	return t.mint(ctx, g, g.Principal.Name, permit)
}

// MintBackend makes a ticket for an anonymous principal with the role
// [auth.RoleBackend]: a backend that publishes. The backend authenticates with
// one of [Options.Secrets]. The principal's CredentialID is "backend:" and the
// secret's ID, so that all sessions of a secret can be revoked. g.Principal is
// ignored. For the limits, all backends with the same secret count as one user.
//
// The errors are those of Mint, [ErrNoSecret] if no secret is configured, and a
// [*auth.Refusal], 401, for a wrong one.
func (t *Issuer) MintBackend(ctx context.Context, secret string, g Grant) (Ticket, error) {
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
		return Ticket{}, &auth.Refusal{Status: http.StatusUnauthorized, Reason: "the secret is wrong"}
	}
	return t.backend(ctx, id, g)
}

// MintBackendFor is MintBackend without a secret, for a caller that the program
// trusts equally, such as one with the token of the admin API. The principal's
// CredentialID is "backend:" and name, and all callers with the same name count
// as one user for the limits. Choose a name that no [Secret] can have, such as
// "@admin". The errors are those of Mint.
func (t *Issuer) MintBackendFor(ctx context.Context, name string, g Grant) (Ticket, error) {
	return t.backend(ctx, name, g)
}

func (t *Issuer) backend(ctx context.Context, id string, g Grant) (Ticket, error) {
	g.Principal = &auth.Principal{Roles: []string{auth.RoleBackend}, Issued: auth.Now(), CredentialID: "backend:" + id}
	return t.mint(ctx, g, backendSubject+id, nil) // no user's name contains a NUL
}

// backendSubject begins the subject of a backend's tickets.
const backendSubject = "\x00"

// userOf returns the user whose tickets a subject counts. A backend has none.
func userOf(subject string) string {
	if strings.HasPrefix(subject, backendSubject) {
		return ""
	}
	return subject
}

func (t *Issuer) mint(ctx context.Context, g Grant, subject string, permit func(context.Context) error) (Ticket, error) {
	if err := ctx.Err(); err != nil {
		return Ticket{}, err
	}
	if g.Since == 0 {
		g.Since = t.revocations.Now()
	}
	if g.TTL == 0 {
		g.TTL = t.ttl
	}
	if g.TTL < 0 || g.TTL > t.ttl {
		return Ticket{}, ErrTTL
	}
	p, origin, err := g.claim()
	if err != nil {
		return Ticket{}, err
	}
	now := auth.Now()
	expires, ok := ticketExpiry(p, now, g.TTL)
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
	// The epoch is that from before the credential was checked, unless
	// Withdrawn says that there has been another since.
	epoch := t.revocations.Epoch(p.Name)
	if t.revocations.Withdrawn(p, g.Since) {
		return Ticket{}, errWithdrawn()
	}
	if t.signed {
		return t.mintSigned(p, origin, expires, epoch) // nothing to wait for
	}
	var random [32]byte
	rand.Read(random[:]) // never fails
	value := base64.RawURLEncoding.EncodeToString(random[:])
	r := Record{
		Key: sha256.Sum256([]byte(value)), Subject: subject, Origin: origin, Principal: p, Expires: expires,
		Source: t.revocations.Source(), Epoch: epoch,
	}
	nameAfter(p, r.Key)
	if err := t.put(ctx, r, g.Since); err != nil {
		return Ticket{}, err
	}
	return Ticket{Value: value, Expires: expires}, nil
}

// put stores a ticket, unless its principal is withdrawn before it is stored.
func (t *Issuer) put(ctx context.Context, r Record, since auth.Moment) error {
	ctx, cancel := t.patience(ctx)
	defer cancel()
	if err := t.store.Put(ctx, r, t.limits); err != nil {
		if full, ok := errors.AsType[*FullError](err); ok {
			return tooMany(full.RetryAfter, "too many unused tickets")
		}
		if errors.Is(err, ErrContent) {
			return err
		}
		return &StoreError{err}
	}
	if !t.revocations.Withdrawn(r.Principal, since) {
		return nil
	}
	// Nobody ever gets this ticket. It only takes room until it expires, so an
	// error does not matter.
	_, _ = t.store.Take(ctx, r.Key)
	return errWithdrawn()
}

func errWithdrawn() error {
	return &auth.Refusal{
		Status:    http.StatusUnauthorized,
		Reason:    "the credential has expired or was revoked",
		Challenge: httpsec.InvalidToken,
	}
}

// ticketExpiry returns the whole second at which a ticket of p expires, and
// whether that is after now.
func ticketExpiry(p *auth.Principal, now time.Time, ttl time.Duration) (expires time.Time, ok bool) {
	expires = now.Add(ttl + time.Second - 1).Truncate(time.Second)
	if !p.Expires.IsZero() && p.Expires.Before(expires) {
		expires = p.Expires.Truncate(time.Second)
	}
	return expires, now.Before(expires)
}

// nameAfter sets the CredentialID if the credential had none, so that the
// sessions of a ticket can be revoked together.
func nameAfter(p *auth.Principal, ticket Key) {
	if p.CredentialID == "" {
		p.CredentialID = auth.TicketCredential + hex.EncodeToString(ticket[:16])
	}
}

func tooMany(wait time.Duration, reason string) error {
	return &auth.Refusal{Status: http.StatusTooManyRequests, RetryAfter: wait, Reason: reason}
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
// The error for an invalid ticket is a [*Error]. If ctx is already done, the
// error is ctx's and the ticket remains valid. If the Store could not answer,
// the error is a [*StoreError], and the ticket may be used up.
func (t *Issuer) Consume(ctx context.Context, value, origin string) (*auth.Principal, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return t.consume(ctx, value, &origin)
}

// consume is Consume; a nil origin is not compared.
func (t *Issuer) consume(ctx context.Context, value string, origin *string) (*auth.Principal, error) {
	if t.signed {
		return t.consumeSigned(ctx, value, origin)
	}
	var text [43]byte // on the stack
	if len(value) != len(text) {
		return nil, &Error{Cause: Malformed}
	}
	copy(text[:], value)
	key := Key(sha256.Sum256(text[:]))
	// Take comes first, so that a revocation during the call is seen: it either
	// took effect before the checks below, or the session exists when it does.
	ctx, cancel := t.patience(ctx)
	defer cancel()
	r, err := t.store.Take(ctx, key)
	if err != nil {
		return nil, rejected(err, userOf(r.Subject))
	}
	if r.Principal == nil || r.Key != key {
		return nil, &StoreError{errOtherRecord}
	}
	cause := t.verdict(r.Principal, r.Expires, r.Origin, origin)
	if r.Source != t.revocations.Source() || t.revocations.Outdated(r.Principal.Name, r.Epoch) {
		cause = Revoked
	}
	if cause != 0 {
		return nil, &Error{cause, userOf(r.Subject)}
	}
	return r.Principal, nil
}

var errOtherRecord = errors.New("it returned another ticket")

// rejected converts an error of Take or Spend.
func rejected(err error, user string) error {
	if cause, ok := causeOf(err); ok {
		return &Error{cause, user}
	}
	return &StoreError{err}
}

// verdict reports why a ticket that was unused must be rejected, or 0.
func (t *Issuer) verdict(p *auth.Principal, expires time.Time, bound string, origin *string) Cause {
	now := auth.Now()
	switch {
	case !now.Before(expires) || p.Expired(now):
		return Expired
	case t.revocations.Revoked(p):
		return Revoked
	case bound != "" && origin != nil && *origin != bound:
		return WrongOrigin
	}
	return 0
}

// Authenticate consumes the attempt's ticket; without a ticket it returns
// [auth.ErrNotMine]. If CONNECT's login names another user than the handshake
// established, it rejects the attempt and the ticket remains valid. If the
// ticket belongs to another user than the handshake or the login names, it
// rejects the attempt and the ticket becomes invalid.
//
// It compares the origin of a bound ticket with that of the handshake, also at
// CONNECT; plain TCP has no origin. It does not compare the origin at a
// renewal, because only the page that opened the session can send one. The
// broker checks that the renewed principal is the session's user.
func (t *Issuer) Authenticate(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
	if a.Ticket == "" {
		return nil, auth.ErrNotMine
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch a.Stage {
	case auth.StageHandshake:
		origin := a.Header("Origin")
		return t.consume(ctx, a.Ticket, &origin)
	case auth.StageConnect:
		return t.connect(ctx, a)
	case auth.StageRenew:
		return t.consume(ctx, a.Ticket, nil)
	default:
		return nil, auth.ErrNotMine
	}
}

func (t *Issuer) connect(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
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
		return nil, &Error{WrongUser, p.Name}
	}
	return p, nil
}
