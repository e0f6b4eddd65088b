package oauth

import (
	"context"
	"net/http"

	"github.com/hoofbeat/hoofbeat/auth"
)

var (
	_ auth.Authenticator = (*Client)(nil)
	_ auth.NameSource    = (*Client)(nil)
)

// NameSpaces returns what each provider can call its users, for
// [auth.CheckNames]. With [Options.LocalUser] the names are the embedding
// program's, which has to see to it itself, and there are none here.
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

// Session returns who is signed in with the request's cookie. It counts as a use of the session. The principal's
// Expires is the session's, its Issued the time of the login, and its CredentialID is what [Options.OnLogout] will
// name when the session ends.
//
// A cookie is sent by the browser whoever made the request: a handler that changes anything checks the origin too.
func (c *Client) Session(r *http.Request) (*auth.Principal, bool) { return c.principal(r.Header) }

func (c *Client) principal(h http.Header) (*auth.Principal, bool) {
	cookie, _ := readCookie(h, c.cookies.session.Name)
	if cookie == "" {
		return nil, false
	}
	return c.sessions.use(digestOf(cookie))
}

// Authenticate lets a browser in at the handshake by its session cookie. The broker has checked the Origin header by
// then; a cookie without one is refused with 403, because a page of any site can make a browser send it (RFC 6455
// section 10.2). Only a request whose Sec-Fetch-Site is same-origin needs none: browsers send no Origin with the GET of a
// same-origin EventSource, and no page can set that header. A ticket or a bearer token was given on purpose and goes first: then, and without the cookie, and at
// every other stage, the answer is [auth.ErrNotMine].
func (c *Client) Authenticate(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
	if a.Stage != auth.StageHandshake || a.Handshake == nil || a.Ticket != "" || a.Bearer != "" {
		return nil, auth.ErrNotMine
	}
	if _, present := readCookie(a.Handshake.Header, c.cookies.session.Name); !present {
		return nil, auth.ErrNotMine
	}
	if !fromKnownOrigin(a.Handshake.Header) {
		return nil, &auth.Refusal{Status: http.StatusForbidden, Reason: "a session cookie needs an Origin header"}
	}
	p, ok := c.principal(a.Handshake.Header)
	if !ok {
		return nil, &auth.Refusal{Reason: "the session has ended"}
	}
	return p, nil
}

// fromKnownOrigin reports whether the page that made a request is known: by its Origin, which the broker has checked, or
// because the browser says that it is ours.
func fromKnownOrigin(h http.Header) bool {
	switch origin := h.Values("Origin"); len(origin) {
	case 0:
		site := h.Values("Sec-Fetch-Site")
		return len(site) == 1 && site[0] == "same-origin"
	default:
		return origin[0] != "" && origin[0] != "null"
	}
}
