package oauth

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

var (
	_ auth.Authenticator = (*Client)(nil)
	_ auth.NameSource    = (*Client)(nil)
)

// NameSpaces returns the user names that each provider can give, for
// [auth.CheckNames]. With [Options.LocalUser] the embedding program chooses the
// names and is responsible for them; NameSpaces then returns nil.
func (c *Client) NameSpaces() []auth.NameSpace {
	if c.o.LocalUser != nil {
		return nil
	}
	var all []auth.NameSpace
	for _, p := range c.o.Providers {
		all = append(all, auth.NameSpace{Source: "oauth: " + p.Name, Issuer: p.Issuer, Claim: p.userClaim(), Prefix: p.UserPrefix})
	}
	return all
}

// Session returns the principal that the request's session cookie identifies,
// and counts as a use of the session. The principal's Expires is the session's,
// Issued is the time of the login, and CredentialID is the id that
// [Options.OnLogout] gets when the session ends.
//
// A browser sends the cookie whichever site made the request. A handler that
// changes anything must also check the origin.
func (c *Client) Session(r *http.Request) (*auth.Principal, bool) {
	p, ok, err := c.principal(r.Context(), r.Header)
	if err != nil {
		c.warn(r, "the session could not be read", err)
	}
	return p, ok
}

func (c *Client) principal(ctx context.Context, h http.Header) (p *auth.Principal, ok bool, err error) {
	cookie, _ := readCookie(h, c.cookies.session.Name)
	if cookie == "" {
		return nil, false, nil
	}
	return c.lookup(ctx, digestOf(cookie))
}

// Authenticate accepts a browser at the handshake by its session cookie. The
// broker has already checked the Origin header. A cookie without an Origin is
// rejected with 403, because a page of any site can make a browser send the
// cookie (RFC 6455 section 10.2). The exception is a request with
// Sec-Fetch-Site: same-origin: browsers send no Origin with the GET of a
// same-origin EventSource, and no page can set that header.
//
// Authenticate returns [auth.ErrNotMine] without the cookie, at every other
// stage, and if the client sent a ticket or a bearer token: these are explicit
// and take precedence.
func (c *Client) Authenticate(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
	if a.Stage != auth.StageHandshake || a.Handshake == nil || a.Ticket != "" || a.Bearer != "" {
		return nil, auth.ErrNotMine
	}
	if _, present := readCookie(a.Handshake.Header, c.cookies.session.Name); !present {
		return nil, auth.ErrNotMine
	}
	if !fromKnownOrigin(a.Handshake.Header) {
		return nil, &auth.Refusal{Status: http.StatusForbidden, Reason: "a session cookie needs an Origin header"}
	}
	p, ok, err := c.principal(ctx, a.Handshake.Header)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoSessions, err)
	}
	if !ok {
		return nil, &auth.Refusal{Reason: "the session has ended"}
	}
	return p, nil
}

// errNoSessions is the error of a session that could not be read: the client
// should try again.
var errNoSessions error = &auth.Refusal{
	Status: http.StatusServiceUnavailable, RetryAfter: 2 * time.Second, Reason: "sessions are not available at the moment",
}

// fromKnownOrigin reports whether the page that made a request is known: the
// request has an Origin, which the broker has checked, or the browser reports
// the same origin.
func fromKnownOrigin(h http.Header) bool {
	switch origin := h.Values("Origin"); len(origin) {
	case 0:
		site := h.Values("Sec-Fetch-Site")
		return len(site) == 1 && site[0] == "same-origin"
	default:
		return origin[0] != "" && origin[0] != "null"
	}
}
