package bearer

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// newIntrospection returns an endpoint that asks according to RFC 7662.
func newIntrospection(o Introspection, c *http.Client, now func() time.Time, size int) (*endpoint, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	r := newRules(o.UserClaim, o.UserPrefix, o.RolesClaim, o.Scopes)
	r.issuer, r.audience = o.Issuer, o.Audience
	e := newEndpoint(r, c, now, size)
	e.method, e.read = "introspection", readIntrospection
	e.request = func(ctx context.Context, token string) (*http.Request, error) {
		form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, o.URL, strings.NewReader(form.Encode()))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if o.ClientID != "" {
			r.SetBasicAuth(url.QueryEscape(o.ClientID), url.QueryEscape(o.ClientSecret))
		}
		return r, nil
	}
	return e, nil
}

// readIntrospection requires a boolean active. An answer without one is a fault
// of the server. It must not let a client in, and must not be cached as a
// rejection of a valid token.
func readIntrospection(status int, body []byte) (map[string]any, error) {
	if status != http.StatusOK {
		return nil, fmt.Errorf("%w %d", errStatus, status)
	}
	claims, err := object(body)
	if err != nil {
		return nil, err
	}
	active, ok := claims["active"].(bool)
	switch {
	case !ok:
		return nil, errAnswer
	case !active:
		return nil, errInactive
	}
	return claims, nil
}
