package access

import (
	"net/http"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// Identify returns the principal of a request that changes nothing, by its
// bearer token or else by the login session of its cookie, as at
// auth.tickets.path. It returns nil for a missing or invalid credential,
// whatever the reason.
func (a *Access) Identify(r *http.Request) *auth.Principal {
	if token, ok := httpsec.RequestToken(r.Header); ok && a.Bearer != nil {
		p, err := a.Bearer.Verify(r.Context(), token)
		return a.named(p, err == nil)
	}
	return a.SignedIn(r)
}

// SignedIn returns the principal of a request's login session, or nil.
func (a *Access) SignedIn(r *http.Request) *auth.Principal {
	if a.Login == nil {
		return nil
	}
	return a.named(a.Login.Session(r))
}

// named returns p if it is a user whose credential was accepted and not revoked.
func (a *Access) named(p *auth.Principal, ok bool) *auth.Principal {
	if !ok || p.Anonymous() || a.Revocations.Revoked(p) {
		return nil
	}
	return p
}
