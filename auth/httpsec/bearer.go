package httpsec

import (
	"net/http"
	"strings"
)

// The challenges of RFC 6750 section 3.1, for the WWW-Authenticate header.
const (
	// InvalidToken says that a request has a token, but not a good one.
	InvalidToken = `Bearer error="invalid_token"`
	// InvalidRequest says that a request carries its token in a wrong way.
	InvalidRequest = `Bearer error="invalid_request"`
)

// RequestToken returns the bearer token of a request (RFC 6750 section 2.1). ok
// says that the request means to carry one. An empty token with ok is an invalid
// credential: "Bearer" without a token, or more than one Authorization header, of
// which a proxy in front may have checked another one than we would.
func RequestToken(h http.Header) (token string, ok bool) {
	switch all := h.Values("Authorization"); len(all) {
	case 0:
		return "", false
	case 1:
		return BearerToken(all[0])
	}
	return "", true
}

// BearerToken returns the token in the value of an Authorization header. ok says
// that its scheme, which is compared without case (RFC 9110 section 11.1), is
// Bearer. The token is empty if nothing follows.
func BearerToken(authorization string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}
