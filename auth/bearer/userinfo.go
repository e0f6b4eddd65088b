package bearer

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// newUserInfo returns an endpoint that asks a resource which answers only to
// valid tokens.
func newUserInfo(o UserInfo, c *http.Client, now func() time.Time, size int) (*endpoint, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	r := newRules(o.UserClaim, o.UserPrefix, o.RolesClaim, o.Scopes)
	r.issuer = o.Issuer
	e := newEndpoint(r, c, now, size)
	e.method = "userinfo"
	e.read = readUserInfo
	e.request = func(ctx context.Context, token string) (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL, nil)
		if err != nil {
			return nil, err
		}
		r.Header.Set("Authorization", "Bearer "+token)
		return r, nil
	}
	return e, nil
}

// readUserInfo interprets the statuses of RFC 6750 section 3.1 as a rejection
// of the token.
func readUserInfo(status int, body []byte) (map[string]any, error) {
	switch status {
	case http.StatusOK:
		return object(body)
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		return nil, errInactive
	default:
		return nil, fmt.Errorf("%w %d", errStatus, status)
	}
}
