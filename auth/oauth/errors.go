package oauth

import (
	"errors"
	"fmt"
	"slices"
)

// Errors for callers to test with [errors.Is].
var (
	// ErrNoToken reports that no token is stored for the user and provider: the
	// user has never signed in there, or has signed out.
	ErrNoToken = errors.New("oauth: no token is stored for this user and provider")
	// ErrReconsent reports that the provider no longer accepts its grant. The
	// user must sign in again.
	ErrReconsent = errors.New("oauth: the user has to sign in at the provider again")
	// ErrUnknownProvider reports that [Options.Providers] has no provider with
	// that name.
	ErrUnknownProvider = errors.New("oauth: no provider of this name")
	// ErrClosed is returned by [Client.Token] after [Client.Close] if a refresh
	// is needed.
	ErrClosed = errors.New("oauth: the client is closed")
)

// ProviderError reports that a provider rejected one of our requests. It
// contains only the fields of this struct: no token, no code and no free text
// from the provider.
type ProviderError struct {
	// Provider is the [Provider.Name]. Op is the request: "authorization",
	// "token", "revocation", "userinfo" or "discovery".
	Provider, Op string
	// Status is the HTTP status of the reply, or 302 for an error that came
	// through the browser.
	Status int
	// Code is the error code of RFC 6749 section 5.2, or empty if the reply had
	// no known one.
	Code string
}

// Error describes the rejected request on one line.
func (e *ProviderError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("oauth: provider %s refused the %s request with HTTP status %d", e.Provider, e.Op, e.Status)
	}
	return fmt.Sprintf("oauth: provider %s refused the %s request with HTTP status %d: %s", e.Provider, e.Op, e.Status, e.Code)
}

// knownCodes are the error codes of RFC 6749 sections 4.1.2.1 and 5.2, RFC
// 6750, RFC 7009 and OpenID Connect. Other codes are never repeated, because
// they could contain anything.
var knownCodes = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
	"invalid_scope", "access_denied", "unsupported_response_type", "server_error", "temporarily_unavailable",
	"invalid_token", "insufficient_scope", "unsupported_token_type", "interaction_required", "login_required",
	"account_selection_required", "consent_required",
}

func knownCode(code string) string {
	if slices.Contains(knownCodes, code) {
		return code
	}
	return ""
}

func isInvalidGrant(err error) bool {
	refusal, ok := errors.AsType[*ProviderError](err)
	return ok && refusal.Code == "invalid_grant"
}
