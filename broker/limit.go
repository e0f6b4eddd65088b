package broker

import (
	"net/netip"

	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
)

// refuse counts and logs a refusal because of a limit on new clients or on
// shared resources, and returns the answer after the upgrade. The user name may
// be unverified.
func (b *Broker) refuse(e *limit.Exceeded, remote netip.AddrPort, user string) *Error {
	b.stats.limits[e.Limit].Add(1)
	b.warn("refused by a limit", sourceOf(remote.Addr(), user, e.Limit.Key()),
		"limit", e.Limit.Key(), "value", e.Value, "remote", remote, "user", brief(user))
	return &Error{Reason: ReasonLimit, Message: e.Error()}
}
