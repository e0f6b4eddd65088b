package oauth

import (
	"errors"
	"fmt"
	"slices"
)

// Errors that a caller can decide on. They are found with [errors.Is].
var (
	// ErrNoToken means that nothing is stored for the user and provider: the user has never signed in there, or
	// has signed out.
	ErrNoToken = errors.New("oauth: no token is stored for this user and provider")
	// ErrReconsent means that the provider no longer honours what it granted: the user has to sign in again.
	ErrReconsent = errors.New("oauth: the user has to sign in at the provider again")
	// ErrUnknownProvider means that [Options.Providers] has none of that name.
	ErrUnknownProvider = errors.New("oauth: no provider of this name")
	// ErrClosed is what [Client.Token] returns after [Client.Close] when a refresh would be needed.
	ErrClosed = errors.New("oauth: the client is closed")
)

// ProviderError is a provider's refusal of a request of ours. It holds nothing but what is in this struct: no
// token, no code and no free text of the provider's.
type ProviderError struct {
	// Provider is the [Provider.Name], Op what was asked of it: "authorization", "token", "revocation",
	// "userinfo" or "discovery".
	Provider, Op string
	// Status is the HTTP status of the reply; 302 for a refusal that the browser brought.
	Status int
	// Code is the error code of RFC 6749 section 5.2 if the reply had a known one, else empty.
	Code string
}

// Error describes the refusal on one line.
func (e *ProviderError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("oauth: provider %s refused the %s request with HTTP status %d", e.Provider, e.Op, e.Status)
	}
	return fmt.Sprintf("oauth: provider %s refused the %s request with HTTP status %d: %s", e.Provider, e.Op, e.Status, e.Code)
}

// knownCodes are the error codes of RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750, RFC 7009 and OpenID Connect.
// Whatever else a provider calls an error is not repeated anywhere: it could be anything.
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
