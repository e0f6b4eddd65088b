package broker

import (
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// limit identifies one limit on new clients or on shared resources. Every
// refusal because of such a limit goes through [Broker.refuse].
type limit uint8

const (
	limitSessions limit = iota
	limitSessionsPerUser
	limitSessionsPerAddress
	limitUnauthenticated
	limitUnauthenticatedPerAddress
	limitLoginFailures
	limitAddressFailures
	limitSlowPatterns
	limitSlowPatternsPerUser
	limitSelectorsPerUser
	numLimits
)

// limits are the texts for clients and operators about each limit. The key is
// the configuration key; the field of [Limits] has the same words.
var limits = [numLimits]struct {
	key    string
	text   string
	status int
}{
	limitSessions:                  {"limits.sessions", "too many sessions", http.StatusServiceUnavailable},
	limitSessionsPerUser:           {"limits.sessions_per_user", "too many sessions of this user", http.StatusTooManyRequests},
	limitSessionsPerAddress:        {"limits.sessions_per_address", "too many sessions from your address", http.StatusTooManyRequests},
	limitUnauthenticated:           {"limits.unauthenticated", "too many unauthenticated connections", http.StatusTooManyRequests},
	limitUnauthenticatedPerAddress: {"limits.unauthenticated_per_address", "too many unauthenticated connections from your address", http.StatusTooManyRequests},
	limitLoginFailures:             {"limits.login_failures", "too many failed attempts, try again later", http.StatusTooManyRequests},
	limitAddressFailures:           {"limits.address_failures", "too many failed attempts from your address, try again later", http.StatusTooManyRequests},
	limitSlowPatterns:              {"limits.slow_patterns", "too many patterns that are slow to compare", http.StatusServiceUnavailable},
	limitSlowPatternsPerUser:       {"limits.slow_patterns_per_user", "too many patterns that are slow to compare, of this user or address", http.StatusTooManyRequests},
	limitSelectorsPerUser:          {"limits.selectors_per_user", "too many different selectors of this user or address", http.StatusTooManyRequests},
}

// exceeded is a limit that a client has reached. It is an error only inside the
// package: refuse converts it into the answer for the client.
type exceeded struct {
	limit limit
	value int
	after time.Duration // when to try again
}

func (e *exceeded) Error() string {
	l := limits[e.limit]
	return fmt.Sprintf("%s: %s is %d", l.text, l.key, e.value)
}

// refusal returns the answer before the upgrade.
func (e *exceeded) refusal() *auth.Refusal {
	return &auth.Refusal{Status: limits[e.limit].status, RetryAfter: max(e.after, time.Second), Reason: e.Error()}
}

// failure returns the answer after the upgrade.
func (e *exceeded) failure() *Error { return &Error{Reason: ReasonLimit, Message: e.Error()} }

// refuse counts and logs a refusal because of a limit, and returns e.
func (b *Broker) refuse(e *exceeded, remote netip.AddrPort, user string) *exceeded {
	b.stats.limits[e.limit].Add(1)
	b.warn("refused by a limit", sourceOf(remote.Addr(), user, limits[e.limit].key),
		"limit", limits[e.limit].key, "value", e.value, "remote", remote, "user", brief(user))
	return e
}
