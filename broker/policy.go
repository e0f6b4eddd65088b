package broker

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/broker/internal/admission"
	"github.com/hoofbeat/hoofbeat/frames"
)

// Policy is the part of [Options] that may change while a Broker runs:
// permissions and limits. The fields have the same meaning as in Options.
type Policy struct {
	Authorizer       auth.Authorizer
	Origins          []string
	Hosts            []string
	TrustedProxies   []netip.Prefix
	TrustUnixSockets bool
	Limits           Limits

	// History are the entries of Options.History with new limits. What is kept
	// stays if it is within them. The destinations must be the same, in the
	// same order. Nil leaves the limits and HistoryBytes as they are.
	History      []History
	HistoryBytes int64
}

// policy is the compiled form of a Policy: an immutable value that is replaced
// as a whole.
type policy struct {
	authorizer auth.Authorizer
	rules      *auth.Rules // the authorizer, if it is of this type
	direct     bool        // the authorizer never blocks
	pages      admission.Pages
	proxies    admission.Proxies
	limits     Limits
}

func newPolicy(o *Options) *policy {
	p := &policy{
		authorizer: o.Authorizer,
		pages:      admission.Pages{LoopbackOnly: o.LoopbackOnly},
		proxies:    admission.Proxies{Networks: o.TrustedProxies, UnixSockets: o.TrustUnixSockets},
		limits:     o.Limits,
	}
	p.rules, _ = o.Authorizer.(*auth.Rules)
	_, p.direct = o.Authorizer.(auth.NonBlocking)
	p.direct = p.direct || p.rules != nil
	p.pages.Origins, _ = httpsec.NewList(o.Origins) // checked by validate
	p.pages.Hosts, _ = httpsec.NewHosts(o.Hosts)    // checked by validate
	return p
}

// SetPolicy replaces the policy, for new and for connected sessions. It
// disconnects no session:
//
//   - Subscriptions that the Authorizer now denies end, and their clients are
//     notified on /user/topic/session, as after a renewal of a credential. A
//     pattern subscription continues for the matching destinations that are
//     allowed.
//   - If a session already exceeds a limit, the limit applies to its next
//     operations.
//   - Origins, Hosts and the limits for unauthenticated sockets apply to new
//     connections.
//   - If a history already exceeds a new limit, its oldest messages are dropped.
//
// A subscription over a [Transport] ends when the client next sends something.
// The error names the invalid field; the old policy then stays in force.
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
	var entries []History
	if p.History != nil {
		var err error
		if entries, err = b.newLimits(&p); err != nil {
			return fmt.Errorf("policy: %w", err)
		}
	}
	next := newPolicy(&o)
	b.policy.Store(next)
	b.gate.SetLimits(admissionLimits(next.limits))
	for i, h := range entries {
		b.archives[i].setLimits(h)
	}

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

// admissionLimits returns the limits that the gate enforces.
func admissionLimits(l Limits) admission.Limits {
	return admission.Limits{
		Unauthenticated: l.Unauthenticated, UnauthenticatedPerAddress: l.UnauthenticatedPerAddress,
		Sessions: l.Sessions, SessionsPerUser: l.SessionsPerUser, SessionsPerAddress: l.SessionsPerAddress,
		LoginFailures: l.LoginFailures, AddressFailures: l.AddressFailures,
	}
}

// adopt applies the current policy to a session. It runs in the session's
// reader.
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

// limitFrames sets the decoder's limits from the policy: the smaller ones
// before CONNECTED.
func (s *session) limitFrames() {
	l := s.b.policy.Load().limits
	if !s.joined {
		l.Frame, l.Headers = min(l.UnauthenticatedFrame, l.Frame), min(unauthenticatedHeaders, l.Headers)
	}
	s.dec.SetLimits(frames.Limits{Frame: frameLimit(l.Frame), Headers: frameLimit(l.Headers), HeaderBytes: frameLimit(l.HeaderBytes)})
}

// unauthenticatedHeaders is the maximum number of headers of a frame before
// CONNECTED.
const unauthenticatedHeaders = 20

// frameSizeKey returns the configuration key of the frame size limit that
// currently applies.
func (s *session) frameSizeKey() string {
	if l := s.b.policy.Load().limits; !s.joined && l.UnauthenticatedFrame <= l.Frame {
		return "limits.unauthenticated_frame"
	}
	return "limits.frame"
}

// frameLimitKey returns the configuration key of the limit that a frame
// exceeded, or a text if the limit has no key.
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
