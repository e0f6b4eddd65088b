package admission

import (
	"context"
	"net/netip"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
)

// maxHold is the maximum time that an attempt with a passcode is held before it
// is refused.
const maxHold = 10 * time.Second

// TryPasscode counts an attempt with a passcode outside of handshake and
// CONNECT, before the passcode is compared. It blocks while the attempt is
// held, at most for ConnectDeadline and until ctx is done. If it returns no
// limit, the caller calls end once with the authenticator's error.
func (g *Gate) TryPasscode(ctx context.Context, remote netip.AddrPort, login string) (end func(error), reached *limit.Exceeded) {
	t, reached := g.beginTry(ctx, remote, login, orHour(g.o.ConnectDeadline))
	if reached != nil {
		return nil, reached
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
func (g *Gate) beginTry(ctx context.Context, remote netip.AddrPort, login string, left time.Duration) (*try, *limit.Exceeded) {
	return g.throttle.begin(ctx, remote.Addr(), login, min(left/4*3, maxHold))
}

// tryOf begins an attempt with the passcode of a CONNECT. It returns nil if the
// CONNECT has none. The socket still counts as unauthenticated and may be shed.
func (g *Gate) tryOf(ctx context.Context, s Connecting, a *auth.Attempt) (*try, *Rejection) {
	token := a.Ticket != "" || a.Bearer != ""
	if a.Passcode == "" && (token || a.Login == "") {
		return nil, nil
	}
	t, reached := g.beginTry(ctx, a.Remote, a.Login, orHour(s.Left()))
	if reached != nil {
		return nil, &Rejection{Login: a.Login, Limit: reached}
	}
	return t, nil
}

// wrong counts a rejected credential, unless the refusal says nothing about the
// client: a passcode if there is a try, otherwise a ticket or a token. It
// returns the limit that the client has reached, or nil.
func (g *Gate) wrong(remote netip.AddrPort, t *try, err error) *limit.Exceeded {
	switch {
	case !guess(err):
		return nil
	case t != nil:
		return t.end(failed)
	}
	return g.throttle.wrongToken(remote.Addr())
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
