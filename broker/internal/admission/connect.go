package admission

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// Connecting is the session whose CONNECT a [Gate] decides about.
type Connecting interface {
	// Left returns the time until the session must be CONNECTED. It may be
	// negative.
	Left() time.Duration
	// StartAsk is called before the authenticator is asked, which may block.
	// Until EndAsk, the session is not shed.
	StartAsk()
	EndAsk()
}

// Connect decides about a CONNECT: whether its credential is good, and whether
// it fits what the handshake has established. It blocks while the attempt is
// held because of earlier failures, until ctx is done, and while the
// authenticator decides. If it returns nil, e says who the client is.
//
// It fails closed: an error, a panic or a missed deadline of the authenticator
// rejects the client.
func (g *Gate) Connect(ctx context.Context, s Connecting, e *Entry, a *auth.Attempt) *Rejection {
	if g.o.Authenticator == nil {
		return &Rejection{Why: noAuthenticator, Login: a.Login, Answer: errFailed}
	}
	if err := a.CheckLogin(); err != nil { // N-11: a credential is bound to its user
		g.throttle.wrongToken(a.Remote.Addr()) // no passcode was tried
		no := failure(a.Login, err)
		no.User = e.Principal.Name
		return no
	}
	try, no := g.tryOf(ctx, s, a)
	if no != nil {
		return no
	}
	defer try.end(nothing) // unless the try has already ended
	p, late, err := g.ask(ctx, s, a)
	if late {
		return &Rejection{
			Why:   fmt.Sprintf("not decided within %v (limits.connect_deadline): %v", g.o.ConnectDeadline, cmp.Or(err, context.DeadlineExceeded)),
			Login: a.Login, User: whose(err), Late: true, Answer: errFailed,
		}
	}
	passcode := a.Login != "" && a.Ticket == "" && a.Bearer == ""
	proved := passcode && a.Principal == nil // otherwise a ticket, a token or the handshake may have decided
	if errors.Is(err, auth.ErrNotMine) && e.Principal != nil {
		p, err = e.Principal, nil // the handshake has authenticated the client
		passcode = e.Passcode
	}
	if p, err = g.acceptable(p, err, e.Principal); err != nil || p == nil {
		err = nobodyKnows(a, err)
		g.wrong(a.Remote, try, err) // the answer is the same: each connection has one attempt
		return failure(a.Login, err)
	}
	if proved && provedPasscode(p, a.Handshake, auth.StageConnect) {
		try.end(succeeded)
	}
	if g.o.Revoked(p) {
		return &Rejection{Why: errRevoked.Reason, User: p.Name, Revoked: true, Answer: errRevoked}
	}
	e.Principal, e.Passcode = p, passcode
	return nil
}

// ask asks the authenticator, as long as the session has time.
func (g *Gate) ask(ctx context.Context, s Connecting, a *auth.Attempt) (p *auth.Principal, late bool, err error) {
	s.StartAsk()
	defer s.EndAsk()
	ctx, cancel := context.WithTimeout(ctx, orHour(s.Left()))
	defer cancel()
	p, err = g.authenticate(ctx, a)
	return p, ctx.Err() != nil, err
}

// acceptable checks the principal that the authenticator returned. before is
// that of the handshake, or nil.
func (g *Gate) acceptable(p *auth.Principal, err error, before *auth.Principal) (*auth.Principal, error) {
	switch {
	case err != nil || p == nil:
		return nil, err
	case before != nil && p.Name != before.Name:
		return nil, errAnotherUser
	case p.Expired(time.Now()):
		return nil, ErrExpired
	case p.Name != "":
		return p, g.validName(p.Name)
	}
	return p, nil
}

// nobodyKnows replaces ErrNotMine, which does not help a client, with a refusal
// that names the missing or unsupported credential.
func nobodyKnows(a *auth.Attempt, err error) error {
	if !errors.Is(err, auth.ErrNotMine) {
		return err
	}
	sent := ""
	switch {
	case a.Ticket != "":
		sent = "a ticket"
	case a.Bearer != "":
		sent = "a bearer token"
	case a.Login != "":
		sent = "a login"
	default:
		return &auth.Refusal{Reason: "authentication failed: no credential was sent, and this broker requires one: a login with its passcode, a bearer token or a ticket"}
	}
	return &auth.Refusal{Reason: "authentication failed: this broker accepts no credential of this kind: " + sent}
}
