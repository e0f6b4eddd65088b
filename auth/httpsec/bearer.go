package httpsec

import (
	"net/http"
	"strings"
)

// Challenges of RFC 6750 section 3.1, for the WWW-Authenticate header.
const (
	// InvalidToken means that the request's token is not valid.
	InvalidToken = `Bearer error="invalid_token"`
	// InvalidRequest means that the request carries its token in a wrong way.
	InvalidRequest = `Bearer error="invalid_request"`
)

// RequestToken returns the bearer token of a request (RFC 6750 section 2.1). ok
// reports that the request tries to send one. An empty token with ok is an
// invalid credential: "Bearer" without a token, or more than one Authorization
// header. With several headers, a proxy may have checked another one than we
// would.
func RequestToken(h http.Header) (token string, ok bool) {
	switch all := h.Values("Authorization"); len(all) {
	case 0:
		return "", false
	case 1:
		return BearerToken(all[0])
	}
	return "", true
}

// BearerToken returns the token in the value of an Authorization header. ok
// reports that the scheme is Bearer, compared without case (RFC 9110 section
// 11.1). The token is empty if nothing follows the scheme.
func BearerToken(authorization string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}
