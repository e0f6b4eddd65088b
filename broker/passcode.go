package broker

import (
	"context"
	"net/netip"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// maxHold bounds how long a try of a passcode is held back before it is refused.
const maxHold = 10 * time.Second

// TryPasscode counts a try of a login's passcode from an address before it is
// compared, and refuses it, as the broker itself does at CONNECT, when the login
// has failed too often from there: see [Limits]. It is for endpoints that take a
// passcode beside the broker, such as one that exchanges HTTP Basic
// authentication for a ticket. The address is that of [Broker.ClientAddress].
//
// It blocks while the try is held back, at most for ConnectDeadline and until
// ctx is done. The error is an [*auth.Refusal] with 429 and Retry-After. After
// nil call end once with the authenticator's error, nil for a right passcode.
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

// beginTry holds a try back for so long that there is time left to decide it.
func (b *Broker) beginTry(ctx context.Context, remote netip.AddrPort, login string, left time.Duration) (*try, *exceeded) {
	t, e := b.throttle.begin(ctx, remote.Addr(), login, min(left/4*3, maxHold))
	if e != nil {
		return nil, b.refuse(e, remote, login)
	}
	return t, nil
}

// provedPasscode reports whether a passcode is what proved p, so that earlier
// failures of its login are forgiven. It is asked where neither a ticket nor a
// token was there. If the handshake had another credential besides, that may be
// what proved p, whatever its name, and then nothing is known about the passcode
// unless the authenticator says so.
func provedPasscode(p *auth.Principal, h *auth.Handshake, stage auth.Stage) bool {
	return !p.Anonymous() && (p.Passcode || !besides(h, stage))
}

// besides reports whether a handshake has a credential besides the passcode,
// which at StageHandshake is its Authorization header, and later one of CONNECT.
func besides(h *auth.Handshake, stage auth.Stage) bool {
	if h == nil {
		return false
	}
	if stage != auth.StageHandshake && h.Header.Get("Authorization") != "" {
		return true
	}
	return h.Header.Get("Cookie") != "" || h.TLS != nil && len(h.TLS.PeerCertificates) > 0
}

// beginTry begins a try of the passcode in a CONNECT, if there is one. The socket
// still counts as one that waits for its CONNECT, and may have to make room.
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
