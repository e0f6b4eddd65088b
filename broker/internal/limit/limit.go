// Package limit holds the limits on new clients and on what all clients share:
// their texts for clients and operators, and the error that names one.
package limit

import (
	"fmt"
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// Limit is one limit.
type Limit uint8

// The limits.
const (
	Sessions Limit = iota
	SessionsPerUser
	SessionsPerAddress
	Unauthenticated
	UnauthenticatedPerAddress
	LoginFailures
	AddressFailures
	SlowPatterns
	SlowPatternsPerUser
	SelectorsPerUser
	Durable
	DurablePerUser
	Count // of the limits
)

// texts of each limit. The key is the configuration key; the field of
// broker.Limits has the same words.
var texts = [Count]struct {
	key    string
	text   string
	status int
}{
	Sessions:                  {"limits.sessions", "too many sessions", http.StatusServiceUnavailable},
	SessionsPerUser:           {"limits.sessions_per_user", "too many sessions of this user", http.StatusTooManyRequests},
	SessionsPerAddress:        {"limits.sessions_per_address", "too many sessions from your address", http.StatusTooManyRequests},
	Unauthenticated:           {"limits.unauthenticated", "too many unauthenticated connections", http.StatusTooManyRequests},
	UnauthenticatedPerAddress: {"limits.unauthenticated_per_address", "too many unauthenticated connections from your address", http.StatusTooManyRequests},
	LoginFailures:             {"limits.login_failures", "too many failed attempts, try again later", http.StatusTooManyRequests},
	AddressFailures:           {"limits.address_failures", "too many failed attempts from your address, try again later", http.StatusTooManyRequests},
	SlowPatterns:              {"limits.slow_patterns", "too many patterns that are slow to compare", http.StatusServiceUnavailable},
	SlowPatternsPerUser:       {"limits.slow_patterns_per_user", "too many patterns that are slow to compare, of this user or address", http.StatusTooManyRequests},
	SelectorsPerUser:          {"limits.selectors_per_user", "too many different selectors of this user or address", http.StatusTooManyRequests},
	Durable:                   {"limits.durable", "too many durable subscriptions", http.StatusServiceUnavailable},
	DurablePerUser:            {"limits.durable_per_user", "too many durable subscriptions of this user", http.StatusTooManyRequests},
}

// Key returns the configuration key of a limit.
func (l Limit) Key() string { return texts[l].key }

// Exceeded is the error for a client that has reached a limit. Its text is for
// that client.
type Exceeded struct {
	Limit Limit
	Value int           // of the limit
	After time.Duration // when to try again, if that is known
}

// Error names the limit, its value and its configuration key.
func (e *Exceeded) Error() string {
	l := texts[e.Limit]
	return fmt.Sprintf("%s: %s is %d", l.text, l.key, e.Value)
}

// Refusal returns the answer to a client that has only sent an HTTP request.
func (e *Exceeded) Refusal() *auth.Refusal {
	return &auth.Refusal{Status: texts[e.Limit].status, RetryAfter: max(e.After, time.Second), Reason: e.Error()}
}
