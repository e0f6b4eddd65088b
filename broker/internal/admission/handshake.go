package admission

import (
	"context"
	"errors"
	"net/http"
	"net/netip"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// Handshake decides about an HTTP request that wants to open a session: the
// limits first, so that a flood costs little and consumes no credential, and
// then the credential, if the request has one. The caller has checked Host and
// Origin. The caller ends the Entry with Leave.
func (g *Gate) Handshake(r *http.Request, remote netip.AddrPort) (Entry, *Rejection) {
	if e := g.seats.check(remote.Addr(), ""); e != nil {
		return Entry{}, &Rejection{Limit: e}
	}
	e, reached := g.Enter(remote)
	if reached != nil {
		return Entry{}, &Rejection{Limit: reached}
	}
	e.Handshake = handshake(r)
	if no := g.identify(r, &e); no != nil {
		e.Leave()
		return Entry{}, no
	}
	return e, nil
}

// identify asks the authenticator about the credential of a request. It sets
// the principal of e unless CONNECT is to decide.
func (g *Gate) identify(r *http.Request, e *Entry) *Rejection {
	if r.URL.Query().Has("access_token") {
		// RFC 9700 section 4.3.2: URLs end up in logs. Only tickets may be in a
		// URL.
		return &Rejection{
			Why:    "an access token was sent in the URL, as access_token: its place is the Authorization header of the handshake or of CONNECT; a browser exchanges it for a ticket first",
			Answer: &auth.Refusal{Status: http.StatusBadRequest, Reason: "an access token must not be in the URL", Challenge: httpsec.InvalidRequest},
		}
	}
	left := orHour(g.o.ConnectDeadline)
	ctx, cancel := context.WithTimeout(r.Context(), left)
	defer cancel()
	ticket, bearer, err := presented(r)
	if err != nil {
		return g.wrongAtHandshake(e, "", nil, err)
	}
	login, _, basic := r.BasicAuth()
	basic = basic && ticket == "" && bearer == "" // a ticket or bearer token takes precedence, and no passcode is checked
	var try *try
	if basic {
		begun, reached := g.beginTry(ctx, e.Remote, login, left)
		if reached != nil {
			return &Rejection{Login: login, Limit: reached}
		}
		try = begun
		defer try.end(nothing) // unless the try has already ended
	}
	if g.o.Authenticator == nil {
		return &Rejection{Why: noAuthenticator, Login: login, Answer: errFailed}
	}
	p, err := g.authenticate(ctx, &auth.Attempt{
		Stage: auth.StageHandshake, Ticket: ticket, Bearer: bearer,
		Header: e.Handshake.Header.Get, Handshake: e.Handshake, Remote: e.Remote,
	})
	switch {
	case errors.Is(err, auth.ErrNotMine):
		return nil // CONNECT decides
	case err == nil && p != nil && g.o.Revoked(p):
		return &Rejection{Why: errRevoked.Reason, User: p.Name, Revoked: true, Answer: errRevoked}
	case err != nil || p == nil || p.Name != "" && g.validName(p.Name) != nil:
		return g.wrongAtHandshake(e, login, try, err)
	}
	e.Passcode = basic && p.Method != "oauth" // a login cookie takes precedence over it
	if e.Passcode && provedPasscode(p, e.Handshake, auth.StageHandshake) {
		try.end(succeeded)
	}
	if reached := g.seats.check(e.Remote.Addr(), p.Name); reached != nil {
		return &Rejection{Login: p.Name, Limit: reached}
	}
	e.Principal = p
	return nil
}

// wrongAtHandshake counts a rejected credential. If the client has failed too
// often, the answer says so instead.
func (g *Gate) wrongAtHandshake(e *Entry, login string, try *try, err error) *Rejection {
	no := failure(login, err)
	no.Limit = g.wrong(e.Remote, try, err)
	return no
}
