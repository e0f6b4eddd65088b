package bearer

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/auth/internal/weight"
)

// Kinds of errors of [Verifier.Verify], for errors.Is.
var (
	// ErrMissing: there is no token. Status 401 and the challenge of RFC 6750
	// section 3 without an error.
	ErrMissing = errors.New("no access token")
	// ErrInvalid: the token is not valid. Status 401, invalid_token.
	ErrInvalid = errors.New("invalid token")
	// ErrScope: the token is valid but lacks a required scope. Status 403,
	// insufficient_scope.
	ErrScope = errors.New("insufficient scope")
	// ErrUnavailable: the token could not be checked because the server that
	// knows it does not answer: status 503 with Retry-After. Or because of
	// Options.WrongTokens: status 429 with Retry-After.
	ErrUnavailable = errors.New("verification unavailable")
)

// retryAfter is how long a client is asked to wait when a token cannot be
// checked.
const retryAfter = 5 * time.Second

// Error is the reason why a token was rejected. The text of Error is for the
// operator's log. It names the rule that the token broke or the server that did
// not answer, and contains no part of the token. The client gets the Reason of
// Refusal.
type Error struct {
	// Refusal is the answer for the client, with the challenge of RFC 6750
	// section 3. errors.As finds it.
	Refusal auth.Refusal
	cause   error
	user    string
}

// Whose returns the user of the token, for the log. It is empty unless the
// issuer's signature proves it. A broker looks for this method in the errors of
// its Authenticator.
func (e *Error) Whose() string { return e.user }

func (e *Error) Error() string { return "bearer: " + e.cause.Error() }

// Unwrap returns the Refusal and the cause, which wraps one of this package's
// Err values.
func (e *Error) Unwrap() []error { return []error{&e.Refusal, e.cause} }

// Rules that a token can break.
var (
	errTooLong   = fmt.Errorf("%w: longer than %d bytes", ErrInvalid, MaxTokenBytes)
	errSyntax    = fmt.Errorf("%w: it has characters that a bearer token cannot have", ErrInvalid)
	errUnknown   = fmt.Errorf("%w: of no configured issuer", ErrInvalid)
	errMalformed = fmt.Errorf("%w: not a well-formed JWS in compact form", ErrInvalid)
	errAlgorithm = fmt.Errorf("%w: its algorithm is not allowed", ErrInvalid)
	errCritical  = fmt.Errorf("%w: it has a critical header parameter", ErrInvalid)
	errType      = fmt.Errorf("%w: its typ is not that of an access token", ErrInvalid)
	errKey       = fmt.Errorf("%w: the issuer has no such key", ErrInvalid)
	errSignature = fmt.Errorf("%w: wrong signature", ErrInvalid)
	errClaims    = fmt.Errorf("%w: its claims are not a JSON object", ErrInvalid)
	errIssuer    = fmt.Errorf("%w: wrong issuer", ErrInvalid)
	errSubject   = fmt.Errorf("%w: no subject", ErrInvalid)
	errAudience  = fmt.Errorf("%w: for another audience", ErrInvalid)
	errUse       = fmt.Errorf("%w: not an access token", ErrInvalid)
	errBound     = fmt.Errorf("%w: bound to a key, which a bearer token cannot prove", ErrInvalid)
	errTime      = fmt.Errorf("%w: exp is missing, or a time is not a number of seconds", ErrInvalid)
	errExpired   = fmt.Errorf("%w: expired", ErrInvalid)
	errNotYet    = fmt.Errorf("%w: not valid yet", ErrInvalid)
	errName      = fmt.Errorf("%w: the user claim is not a valid user name", ErrInvalid)
	errAnother   = fmt.Errorf("%w: now belongs to another user", ErrInvalid)
	errRoles     = fmt.Errorf("%w: the roles claim is not a text or a list of texts", ErrInvalid)
	errScopes    = fmt.Errorf("%w: scope or scp is not a text or a list of texts", ErrInvalid)
	errEmail     = fmt.Errorf("%w: the e-mail address is not verified", ErrInvalid)
	errWeight    = fmt.Errorf("%w: its claims take more than %d bytes of memory, which is a fixed limit", ErrInvalid, weight.MaxClaims)
	errInactive  = fmt.Errorf("%w: not active", ErrInvalid)
)

func missing() error {
	return &Error{Refusal: auth.Refusal{
		Status:    http.StatusUnauthorized,
		Reason:    "an access token is required",
		Challenge: "Bearer",
	}, cause: ErrMissing}
}

func invalid(rule error) error { return invalidOf("", rule) }

// invalidOf is invalid for a token whose signature proves its user.
func invalidOf(user string, rule error) error {
	return &Error{Refusal: auth.Refusal{
		Status:    http.StatusUnauthorized,
		Reason:    "the access token is not valid",
		Challenge: httpsec.InvalidToken,
	}, cause: rule, user: user}
}

func insufficient(required []string, user string) error {
	return &Error{Refusal: auth.Refusal{
		Status:    http.StatusForbidden,
		Reason:    "the access token was not issued for this",
		Challenge: `Bearer error="insufficient_scope", scope="` + strings.Join(required, " ") + `"`,
	}, cause: ErrScope, user: user}
}

func unavailable(why error) error {
	var paced *pacedError
	if errors.As(why, &paced) {
		return &Error{Refusal: auth.Refusal{
			Status: http.StatusTooManyRequests, RetryAfter: paceWait, Key: "limits.address_failures",
			Reason: paced.Error() + ": try again later",
		}, cause: fmt.Errorf("%w: %w", ErrUnavailable, why)}
	}
	return &Error{Refusal: auth.Refusal{
		Status:     http.StatusServiceUnavailable,
		RetryAfter: retryAfter,
		Reason:     "the access token cannot be checked now, try again later",
	}, cause: fmt.Errorf("%w: %w", ErrUnavailable, why)}
}
