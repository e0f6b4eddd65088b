package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// Errors that [Options.AccessToken] can return.
var (
	// ErrNoToken means that no token is stored for the user and provider.
	ErrNoToken = errors.New("admin: no token is kept for this user and provider")
	// ErrReconsent means that the user must sign in at the provider again.
	ErrReconsent = errors.New("admin: the user has to sign in at the provider again")
)

// AccessToken is a token that a provider granted for a user.
type AccessToken struct {
	Token   string
	Expires time.Time // zero if unknown
	Scopes  []string
}

// grantedToken is the answer to GET /users/{user}/tokens/{provider}, in the
// format of RFC 6749 section 5.1. It never includes the refresh token.
type grantedToken struct {
	Token   string   `json:"access_token"`
	Type    string   `json:"token_type"`
	Expires int64    `json:"expires,omitempty"` // seconds since 1970
	Scopes  []string `json:"scopes,omitempty"`
}

// userToken returns the access token of a user at a provider, refreshed if it
// is about to expire. The token is the user's secret, so each request is
// logged.
func (a *api) userToken(w http.ResponseWriter, r *http.Request) *problem {
	if a.accessToken == nil {
		return problemf(http.StatusNotFound, "there are no tokens of providers here: admin.Options.AccessToken is not set")
	}
	user, provider := r.PathValue("user"), r.PathValue("provider")
	if err := auth.ValidName(user); err != nil {
		return problemf(http.StatusBadRequest, "%v", err)
	}
	t, err := a.accessToken(r.Context(), user, provider)
	switch {
	case err == nil:
	case errors.Is(err, ErrNoToken):
		return problemf(http.StatusNotFound, "no token is kept for this user and provider: the user has never signed in there, or has signed out")
	case errors.Is(err, ErrReconsent):
		return problemf(http.StatusConflict, "reconsent-needed: the provider no longer accepts its grant, so the user must sign in there again")
	case errors.Is(err, context.Canceled):
		return problemf(http.StatusServiceUnavailable, "the request was given up")
	default:
		a.log.Warn("admin: the token of a user could not be refreshed", "user", user, "provider", provider, "error", err)
		p := problemf(http.StatusBadGateway, "the provider did not refresh the token; the log says why")
		p.retryAfter = time.Second
		return p
	}
	a.log.Info("admin: the token of a user was handed out", "user", user, "provider", provider, "remote", r.RemoteAddr)
	out := grantedToken{Token: t.Token, Type: "Bearer", Scopes: t.Scopes}
	if !t.Expires.IsZero() {
		out.Expires = t.Expires.Unix()
	}
	return writeJSON(w, http.StatusOK, out)
}
