package oauth

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Key identifies one entry of a [TokenStore].
type Key struct {
	// User is the local user's name, Provider a [Provider.Name].
	User, Provider string
}

// Token is a provider's grant for one user. It is read-only once it is stored.
// Formatting it shows no secret.
type Token struct {
	// Access is the access token. Refresh is the refresh token, or "" if the
	// provider gave none.
	Access  string `json:"access,omitempty"`
	Refresh string `json:"refresh,omitempty"`
	// Expires is when Access expires; the zero time means unknown.
	Expires time.Time `json:"expires,omitzero"`
	// Scopes are the granted scopes.
	Scopes []string `json:"scopes,omitempty"`
	// Subject is the provider's name for the user, if known.
	Subject string `json:"subject,omitempty"`
	// Reconsent reports that the grant has ended and the user must sign in
	// again; there are no tokens.
	Reconsent bool `json:"reconsent,omitempty"`
}

// refreshAhead is how long before its expiry an access token is refreshed.
const refreshAhead = time.Minute

// stale reports whether t should be refreshed; expired reports whether t no
// longer works.
func (t *Token) stale(now time.Time) bool   { return t.expired(now.Add(refreshAhead)) }
func (t *Token) expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// offline reports whether t outlives the user's session at the provider (OpenID
// Connect Core section 11).
func (t *Token) offline() bool {
	return slices.Contains(t.Scopes, "offline_access") || slices.Contains(t.Scopes, "offline")
}

// String describes t without its tokens.
func (t Token) String() string {
	if t.Reconsent {
		return "token to be granted again"
	}
	return "token scopes=" + strings.Join(t.Scopes, ",") + " expires=" + t.Expires.Format(time.RFC3339)
}

// GoString returns String; without it, %#v would print the tokens.
func (t Token) GoString() string { return t.String() }

// LogValue describes t for slog without its tokens.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// TokenStore keeps the tokens of all users. [MemoryStore] and [FileStore] are
// ready-made; a program with a database implements its own. It must be safe for
// concurrent use, and its errors must not contain tokens.
type TokenStore interface {
	// Load returns the entry of k, or an error that is [ErrNoToken] if there is
	// none. The entry is read-only.
	Load(ctx context.Context, k Key) (*Token, error)
	// Update atomically replaces the entry of k by the result of change. change
	// gets nil if there is no entry. It returns nil to delete the entry, or its
	// argument to keep it. It may be called again after a conflict, must not
	// block and must not use the store. When Update returns nil the change is
	// durable.
	Update(ctx context.Context, k Key, change func(old *Token) *Token) error
}
