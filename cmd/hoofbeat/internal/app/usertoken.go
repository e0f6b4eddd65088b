package app

import (
	"context"
	"errors"

	"github.com/hoofbeat/hoofbeat/auth/oauth"
	"github.com/hoofbeat/hoofbeat/broker/admin"
)

// accessToken returns the function with which the admin API gets tokens of
// auth.oauth, or nil without auth.oauth.
func (a *App) accessToken() func(ctx context.Context, user, provider string) (admin.AccessToken, error) {
	if a.access.Login == nil {
		return nil
	}
	return func(ctx context.Context, user, provider string) (admin.AccessToken, error) {
		t, err := a.access.Login.AccessToken(ctx, user, provider)
		switch {
		case errors.Is(err, oauth.ErrNoToken), errors.Is(err, oauth.ErrUnknownProvider):
			return admin.AccessToken{}, admin.ErrNoToken
		case errors.Is(err, oauth.ErrReconsent):
			return admin.AccessToken{}, admin.ErrReconsent
		case err != nil:
			return admin.AccessToken{}, err
		}
		return admin.AccessToken{Token: t.Access, Expires: t.Expires, Scopes: t.Scopes}, nil
	}
}
