package broker

import (
	"context"
	"net/netip"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// maxHold is the maximum time that an attempt with a passcode is held before it
// is refused.
const maxHold = 10 * time.Second

// TryPasscode counts an attempt with a login's passcode from an address before
// the passcode is compared. It refuses the attempt, as the broker does at
// CONNECT, if the login has failed too often from this address: see [Limits].
// Use it for other endpoints that accept a passcode, such as one that exchanges
// HTTP Basic authentication for a ticket. The address is that of
// [Broker.ClientAddress].
//
// TryPasscode blocks while the attempt is held, at most for ConnectDeadline and
// until ctx is done. The error is an [*auth.Refusal] with 429 and Retry-After.
// If it is nil, call end once with the authenticator's error, which is nil for
// a correct passcode.
func (b *Broker) TryPasscode(ctx context.Context, remote netip.AddrPort, login string) (end func(error), err error) {
	t, e := b.beginTry(ctx, remote, login, orHour(b.o.ConnectDeadline))
	if e != nil {
		return nil, e.refusal()
	}
	return func(err error) {
		switch {
		case err == nil:
			t.end(succeeded)
		case guess(err):
			t.end(failed)
		default:
			t.end(nothing)
		}
	}, nil
}

// beginTry holds an attempt, but only so long that enough time is left to
// decide it.
func (b *Broker) beginTry(ctx context.Context, remote netip.AddrPort, login string, left time.Duration) (*try, *exceeded) {
	t, e := b.throttle.begin(ctx, remote.Addr(), login, min(left/4*3, maxHold))
	if e != nil {
		return nil, b.refuse(e, remote, login)
	}
	return t, nil
}

// provedPasscode reports whether a passcode authenticated p, so that earlier
// failures of its login are forgiven. It is called only if there was neither a
// ticket nor a token. If the handshake also had another credential, that one
// may have authenticated p, whatever its name; then nothing is known about the
// passcode unless the authenticator reports it.
func provedPasscode(p *auth.Principal, h *auth.Handshake, stage auth.Stage) bool {
	return !p.Anonymous() && (p.Passcode || !besides(h, stage))
}

// besides reports whether a handshake has another credential in addition to the
// passcode. At StageHandshake the passcode is in the Authorization header of
// the handshake; later it is in CONNECT.
func besides(h *auth.Handshake, stage auth.Stage) bool {
	if h == nil {
		return false
	}
	if stage != auth.StageHandshake && h.Header.Get("Authorization") != "" {
		return true
	}
	return h.Header.Get("Cookie") != "" || h.TLS != nil && len(h.TLS.PeerCertificates) > 0
}

// beginTry begins an attempt with the passcode of a CONNECT, if it has one. The
// socket still counts as unauthenticated and may be closed to make room for
// others.
func (s *session) beginTry(a *auth.Attempt, bt *batch) (*try, *Error) {
	token := a.Ticket != "" || a.Bearer != ""
	if a.Passcode == "" && (token || a.Login == "") {
		return nil, nil
	}
	bt.flush()
	t, e := s.b.beginTry(s.context(), s.peer, a.Login, orHour(time.Duration(s.deadline-s.b.now())))
	if e != nil {
		return nil, e.failure()
	}
	return t, nil
}
