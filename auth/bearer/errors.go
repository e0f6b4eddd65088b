package bearer

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// What can be wrong with a token, for errors.Is with an error of [Verifier.Verify].
var (
	// ErrMissing is the absence of a token: status 401 and the challenge of RFC 6750 section 3 without an error.
	ErrMissing = errors.New("no access token")
	// ErrInvalid is a token that is not good, now or ever: status 401, invalid_token.
	ErrInvalid = errors.New("invalid token")
	// ErrScope is a good token that was issued for less than is needed: status 403, insufficient_scope.
	ErrScope = errors.New("insufficient scope")
	// ErrUnavailable is a token about which nothing can be said, because the server that knows it does not answer:
	// status 503 with Retry-After.
	ErrUnavailable = errors.New("verification unavailable")
)

// retryAfter is what a client is told to wait when a token cannot be checked.
const retryAfter = 5 * time.Second

// Error is why a token was refused. The text of Error is for the operator's log; it says which rule the token broke
// or which server did not answer, and never has a part of the token in it. The client is told the Reason of Refusal.
type Error struct {
	// Refusal is what the client is told, with the challenge of RFC 6750 section 3. errors.As finds it.
	Refusal auth.Refusal
	cause   error
}

func (e *Error) Error() string { return "bearer: " + e.cause.Error() }

// Unwrap returns the Refusal and the cause, which wraps one of this package's Err values.
func (e *Error) Unwrap() []error { return []error{&e.Refusal, e.cause} }

// The rules that a token can break.
var (
	errTooLong   = fmt.Errorf("%w: longer than %d bytes", ErrInvalid, MaxTokenBytes)
	errSyntax    = fmt.Errorf("%w: it has characters that no bearer token has", ErrInvalid)
	errUnknown   = fmt.Errorf("%w: of no configured issuer", ErrInvalid)
	errMalformed = fmt.Errorf("%w: no well-formed JWS in compact form", ErrInvalid)
	errAlgorithm = fmt.Errorf("%w: its algorithm is not allowed", ErrInvalid)
	errCritical  = fmt.Errorf("%w: it has a critical header parameter", ErrInvalid)
	errType      = fmt.Errorf("%w: its typ is not that of an access token", ErrInvalid)
	errKey       = fmt.Errorf("%w: the issuer has no such key", ErrInvalid)
	errSignature = fmt.Errorf("%w: wrong signature", ErrInvalid)
	errClaims    = fmt.Errorf("%w: its claims are no JSON object", ErrInvalid)
	errIssuer    = fmt.Errorf("%w: wrong issuer", ErrInvalid)
	errSubject   = fmt.Errorf("%w: no subject", ErrInvalid)
	errAudience  = fmt.Errorf("%w: for another audience", ErrInvalid)
	errUse       = fmt.Errorf("%w: not an access token", ErrInvalid)
	errBound     = fmt.Errorf("%w: bound to a key, which a bearer does not prove to have", ErrInvalid)
	errTime      = fmt.Errorf("%w: exp is missing, or a time is no number of seconds", ErrInvalid)
	errExpired   = fmt.Errorf("%w: expired", ErrInvalid)
	errNotYet    = fmt.Errorf("%w: not valid yet", ErrInvalid)
	errName      = fmt.Errorf("%w: the user claim is no user name", ErrInvalid)
	errAnother   = fmt.Errorf("%w: another user's by now", ErrInvalid)
	errRoles     = fmt.Errorf("%w: the roles claim is no text or list of texts", ErrInvalid)
	errScopes    = fmt.Errorf("%w: scope or scp is no text or list of texts", ErrInvalid)
	errEmail     = fmt.Errorf("%w: the e-mail address is not verified", ErrInvalid)
	errInactive  = fmt.Errorf("%w: not active", ErrInvalid)
)

func missing() error {
	return &Error{auth.Refusal{
		Status:    http.StatusUnauthorized,
		Reason:    "an access token is required",
		Challenge: "Bearer",
	}, ErrMissing}
}

func invalid(rule error) error {
	return &Error{auth.Refusal{
		Status:    http.StatusUnauthorized,
		Reason:    "the access token is not valid",
		Challenge: httpsec.InvalidToken,
	}, rule}
}

func insufficient(required []string) error {
	return &Error{auth.Refusal{
		Status:    http.StatusForbidden,
		Reason:    "the access token was not issued for this",
		Challenge: `Bearer error="insufficient_scope", scope="` + strings.Join(required, " ") + `"`,
	}, ErrScope}
}

func unavailable(why error) error {
	return &Error{auth.Refusal{
		Status:     http.StatusServiceUnavailable,
		RetryAfter: retryAfter,
		Reason:     "the access token cannot be checked now, try again later",
	}, fmt.Errorf("%w: %w", ErrUnavailable, why)}
}
