package admission

import (
	"context"
	"errors"
	"net/http"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/hook"
	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
)

// Rejection says why a client may not open a session.
type Rejection struct {
	// Why is the reason for the log, which may say more than the client is
	// told. It is "" if there is nothing to log but Limit.
	Why string
	// Login is the name that the client uses: the login that it claims, or, if
	// only a limit stands in its way, that of its credential. It may be "".
	Login string
	// User is the owner of the rejected credential, or "" if it is unknown or
	// not proven.
	User string
	// Failed is true if the credential was rejected, which counts as an
	// authentication failure.
	Failed bool

	// Limit is the limit that the client has reached, or nil. It comes before
	// the other answers.
	Limit *limit.Exceeded
	// Late is true if CONNECT was not decided before the deadline.
	Late bool
	// Revoked is true if the credential is good but was revoked.
	Revoked bool
	// Answer is the answer to the client unless Limit is set.
	Answer *auth.Refusal
}

// Refusal returns the answer to a client that has only sent an HTTP request.
func (r *Rejection) Refusal() *auth.Refusal {
	if r.Limit != nil {
		return r.Limit.Refusal()
	}
	return r.Answer
}

var (
	errAnotherUser = &auth.Refusal{Reason: "the credential belongs to another user than the one this connection was opened for"}
	errRevoked     = &auth.Refusal{Reason: "the credential was revoked"}
	errFailed      = &auth.Refusal{Status: http.StatusUnauthorized, Reason: "authentication failed"}

	// ErrExpired rejects a credential that has expired.
	ErrExpired = &auth.Refusal{Reason: "the credential has expired"}
)

// noAuthenticator is why nobody may connect to a broker that cannot check a
// credential.
const noAuthenticator = "there is no authenticator"

// failure returns the rejection because of a wrong or missing credential. err is
// the authenticator's error, nil if it returned no principal. If it is not an
// [auth.Refusal], the client receives a constant text.
func failure(login string, err error) *Rejection {
	r := &Rejection{Why: LogText(err), Login: login, User: whose(err), Failed: true, Answer: errFailed}
	if refusal, ok := errors.AsType[*auth.Refusal](err); ok {
		r.Answer = refusal
	}
	return r
}

// LogText returns the text for the log about an error of an authenticator, which
// is nil if it returned no principal.
func LogText(err error) string {
	if err == nil {
		return "no principal"
	}
	return err.Error()
}

// whose returns the owner of a rejected credential, or "" if the
// authenticator's error does not name one. The error names an owner only if it
// is proven, for instance by a signature.
func whose(err error) string {
	if e, ok := errors.AsType[interface {
		error
		Whose() string
	}](err); ok {
		return e.Whose()
	}
	return ""
}

// guess reports whether a refusal says something about the client. A hook that
// failed, timed out or could not reach its identity provider refuses every
// client.
func guess(err error) bool {
	var (
		r *auth.Refusal
		p *hook.Panic
	)
	switch {
	case errors.As(err, &r):
		return r.StatusCode() < 500 && r.StatusCode() != http.StatusTooManyRequests
	case errors.As(err, &p):
		return false
	}
	return !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}
