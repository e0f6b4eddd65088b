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
	p := a.holder(r)
	if p == nil || p.Anonymous() || a.Revocations.Revoked(p) {
		return nil
	}
	return p
}

func (a *Access) holder(r *http.Request) *auth.Principal {
	if token, ok := httpsec.RequestToken(r.Header); ok && a.Bearer != nil {
		p, err := a.Bearer.Verify(r.Context(), token)
		if err != nil {
			return nil
		}
		return p
	}
	if a.Login != nil {
		if p, ok := a.Login.Session(r); ok {
			return p
		}
	}
	return nil
}

// SignedIn returns the principal of a request's login session, or nil. Call it
// only with auth.oauth.
func (a *Access) SignedIn(r *http.Request) *auth.Principal {
	p, ok := a.Login.Session(r)
	if !ok || p.Anonymous() || a.Revocations.Revoked(p) {
		return nil
	}
	return p
}
