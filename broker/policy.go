package broker

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/frames"
)

// Policy is the part of [Options] that may change while a Broker runs: who may do
// what, and how much it may cost. The fields mean what they mean in Options.
type Policy struct {
	Authorizer       auth.Authorizer
	Origins          []string
	Hosts            []string
	TrustedProxies   []netip.Prefix
	TrustUnixSockets bool
	Limits           Limits
}

// policy is a Policy as everything reads it: one value that is never changed and
// is swapped as a whole.
type policy struct {
	authorizer auth.Authorizer
	rules      *auth.Rules // the authorizer, if it is one that never blocks
	origins    httpsec.List
	hosts      httpsec.Hosts
	loopback   bool // see Options.LoopbackOnly
	trusted    []netip.Prefix
	unix       bool // X-Forwarded-For is believed over Unix sockets
	limits     Limits
}

func newPolicy(o *Options) *policy {
	p := &policy{authorizer: o.Authorizer, trusted: o.TrustedProxies, unix: o.TrustUnixSockets, limits: o.Limits, loopback: o.LoopbackOnly}
	p.rules, _ = o.Authorizer.(*auth.Rules)
	p.origins, _ = httpsec.NewList(o.Origins) // checked by validate
	p.hosts, _ = httpsec.NewHosts(o.Hosts)    // checked by validate
	return p
}

// SetPolicy puts another policy in force, for new sessions and for those that are
// connected. Nobody is disconnected for it:
//
//   - Subscriptions that the Authorizer denies from now on end, and their clients
//     are told on /user/topic/session, as when a credential was renewed. A pattern
//     goes on with those of its destinations that are allowed.
//   - A limit that a session exceeds already holds for what it does next.
//   - Origins, Hosts and the limits for unauthenticated sockets hold for new
//     connections.
//
// A subscription over a [Transport] ends when its client is heard next. The error
// names the field that is wrong, and then the old policy stays.
func (b *Broker) SetPolicy(p Policy) error {
	o := b.o
	o.Authorizer, o.Origins, o.TrustedProxies, o.Limits = p.Authorizer, slices.Clone(p.Origins), slices.Clone(p.TrustedProxies), p.Limits
	o.Hosts, o.TrustUnixSockets = slices.Clone(p.Hosts), p.TrustUnixSockets
	if o.Authorizer == nil {
		o.Authorizer = auth.Prefixes(o.Destinations).Guarded()
	}
	o.Limits.setDefaults()
	if err := o.validate(); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	next := newPolicy(&o)
	b.policy.Store(next)
	b.enforce(next.limits)

	b.mu.Lock()
	all := make([]*session, 0, len(b.sessions))
	for _, s := range b.sessions {
		all = append(all, s)
	}
	b.mu.Unlock()
	for _, s := range all {
		s.do(s.adopt)
	}
	return nil
}

// enforce gives the limits to those who count for all sessions.
func (b *Broker) enforce(l Limits) {
	b.caps.limit(l)
	b.seats.limit(l)
	b.throttle.limit(throttleOptions{
		login: l.LoginFailures, network: l.AddressFailures, longest: b.o.FailureWait, decay: b.o.FailureDecay,
	})
}

// adopt puts the policy in force in a session. It runs in its reader.
func (s *session) adopt(bt *batch) {
	s.target = nil
	s.limitFrames()
	if !s.joined {
		return
	}
	if err := s.reconsider(bt); err != nil {
		s.end(failure(ReasonInternalError, "internal error"), "", bt)
	}
}

// limitFrames tells the decoder the limits of the policy: the smaller ones before
// CONNECTED.
func (s *session) limitFrames() {
	l := s.b.policy.Load().limits
	if !s.joined {
		l.Frame, l.Headers = min(l.UnauthenticatedFrame, l.Frame), min(unauthenticatedHeaders, l.Headers)
	}
	s.dec.SetLimits(frames.Limits{Frame: frameLimit(l.Frame), Headers: frameLimit(l.Headers), HeaderBytes: frameLimit(l.HeaderBytes)})
}

// unauthenticatedHeaders is the number of headers of a frame before CONNECTED.
const unauthenticatedHeaders = 20

// frameSizeKey is the key of the limit on the size of a frame that holds now.
func (s *session) frameSizeKey() string {
	if l := s.b.policy.Load().limits; !s.joined && l.UnauthenticatedFrame <= l.Frame {
		return "limits.unauthenticated_frame"
	}
	return "limits.frame"
}

// frameLimitKey is the key of a limit that a frame exceeds, or says that there
// is none.
func (s *session) frameLimitKey(e *frames.LimitError) string {
	switch {
	case e.Limit == frames.LimitHeaderBytes:
		return "limits.header_bytes"
	case e.Limit != frames.LimitHeaders:
		return s.frameSizeKey()
	case !s.joined && e.Max == unauthenticatedHeaders:
		return "fixed before CONNECTED"
	}
	return "limits.headers"
}
