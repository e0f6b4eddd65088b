package broker

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/broker/internal/hook"
)

// Admission is the permission to open one session: the request's Origin is
// allowed, the caps have room for one more unauthenticated socket, and the
// authenticator has not rejected the request. It occupies a place in the caps
// until the session is CONNECTED or has ended, or Release is called.
type Admission struct {
	principal *auth.Principal
	handshake *auth.Handshake
	remote    netip.AddrPort
	passcode  bool // the principal used HTTP Basic authentication
	place     *place
}

// Release frees the place. Call it only if the Admission is not passed to
// Serve. It may be called twice and is safe on the zero value.
func (a *Admission) Release() {
	if a != nil && a.place != nil {
		a.place.leave()
	}
}

// Admit decides whether a request may open a session, without a WebSocket: for
// SockJS and for programs that upgrade their sockets themselves. It checks, in
// this order: Host (by Options.Hosts and Options.LoopbackOnly) and Origin
// (403), the session limits (503 for the total, 429 per address), the caps for
// unauthenticated sockets (429), the authenticator's handshake stage (401
// unless the authenticator chooses another status), and the session limit of
// that user (429). A refusal before the handshake stage consumes no credential.
// The error is an [*auth.Refusal]; [auth.WriteRefusal] writes it as the
// response, and Stats.Refused counts it. While the broker drains, the status is
// 503.
func (b *Broker) Admit(r *http.Request) (Admission, error) {
	a, err := b.admit(r)
	if err != nil {
		b.stats.refused.Add(1)
	}
	return a, err
}

func (b *Broker) admit(r *http.Request) (Admission, error) {
	if b.accepting() != nil {
		return Admission{}, &auth.Refusal{Status: http.StatusServiceUnavailable, RetryAfter: time.Second, Reason: "draining"}
	}
	if refusal := b.checkPage(r); refusal != nil {
		return Admission{}, refusal
	}
	remote := b.ClientAddress(r)
	if e := b.seats.check(remote.Addr(), ""); e != nil {
		return Admission{}, b.refuse(e, remote, "").refusal()
	}
	p, e := b.caps.enter(remote.Addr())
	if e != nil {
		return Admission{}, b.refuse(e, remote, "").refusal()
	}
	a := Admission{remote: remote, place: p}
	a.handshake = handshake(r)
	if err := b.handshakeStage(r, &a); err != nil {
		p.leave()
		return Admission{}, err
	}
	return a, nil
}

func (b *Broker) handshakeStage(r *http.Request, a *Admission) error {
	if r.URL.Query().Has("access_token") {
		// RFC 9700 section 4.3.2: URLs end up in logs. Only tickets may be in a
		// URL.
		b.handshakeRefused(a.remote, "", "", "an access token was sent in the URL, as access_token: its place is the Authorization header of the handshake or of CONNECT; a browser exchanges it for a ticket first")
		return &auth.Refusal{Status: http.StatusBadRequest, Reason: "an access token must not be in the URL", Challenge: httpsec.InvalidRequest}
	}
	ctx, cancel := context.WithTimeout(r.Context(), orHour(b.o.ConnectDeadline))
	defer cancel()
	ticket, bearer, err := presented(r)
	if err != nil {
		return b.refuseHandshake(a, "", nil, err)
	}
	login, _, basic := r.BasicAuth()
	basic = basic && ticket == "" && bearer == "" // a ticket or bearer token takes precedence, and no passcode is checked
	var try *try
	if basic {
		var e *exceeded
		if try, e = b.beginTry(ctx, a.remote, login, orHour(b.o.ConnectDeadline)); e != nil {
			return e.refusal()
		}
		defer try.end(nothing) // unless the try has already ended
	}
	if b.o.Authenticator == nil {
		b.handshakeRefused(a.remote, login, "", "there is no authenticator")
		return &auth.Refusal{Status: http.StatusUnauthorized, Reason: "authentication failed"}
	}
	p, err := hook.Guard(b.hookPanicked, "Authenticator", func() (*auth.Principal, error) {
		return b.o.Authenticator.Authenticate(ctx, &auth.Attempt{
			Stage: auth.StageHandshake, Ticket: ticket, Bearer: bearer,
			Header: a.handshake.Header.Get, Handshake: a.handshake, Remote: a.remote,
		})
	})
	if errors.Is(err, auth.ErrNotMine) {
		return nil // CONNECT decides
	}
	if err == nil && p != nil && b.revoked(p) {
		b.handshakeRefused(a.remote, "", p.Name, "the credential was revoked")
		return &auth.Refusal{Reason: "the credential was revoked"}
	}
	if err == nil && p != nil && (p.Name == "" || b.validName(p.Name) == nil) {
		a.passcode = basic && p.Method != "oauth" // a login cookie takes precedence over it
		if a.passcode && provedPasscode(p, a.handshake, auth.StageHandshake) {
			try.end(succeeded)
		}
		if e := b.seats.check(a.remote.Addr(), p.Name); e != nil {
			return b.refuse(e, a.remote, p.Name).refusal()
		}
		a.principal = p
		return nil
	}
	return b.refuseHandshake(a, login, try, err)
}

// refuseHandshake counts and logs a rejected credential and returns the
// refusal.
func (b *Broker) refuseHandshake(a *Admission, login string, try *try, err error) error {
	b.stats.authFailures.Add(1)
	b.handshakeRefused(a.remote, login, whose(err), refusalForLog(err))
	if guess(err) {
		var e *exceeded
		if try != nil {
			e = try.end(failed)
		} else {
			e = b.throttle.wrongToken(a.remote.Addr())
		}
		if e != nil {
			return b.refuse(e, a.remote, login).refusal()
		}
	}
	var refusal *auth.Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	return &auth.Refusal{Status: http.StatusUnauthorized, Reason: "authentication failed"}
}

// handshakeRefused logs why a client was rejected, the login it claims and the
// user who owns its credential, as far as they are known.
func (b *Broker) handshakeRefused(remote netip.AddrPort, login, user, why string) {
	attrs := []any{"remote", remote, "error", why}
	if login != "" {
		attrs = append(attrs, "login", brief(login))
	}
	if user != "" {
		attrs = append(attrs, "user", user)
	}
	b.warn("handshake refused", sourceOf(remote.Addr(), firstOf(login, user), brief(why)), attrs...)
}

// orHour returns d, or one hour if d is not positive or is longer. It bounds a
// call into a hook when no deadline is configured.
func orHour(d time.Duration) time.Duration {
	if d <= 0 || d > time.Hour {
		return time.Hour
	}
	return d
}

// ClientAddress returns the client address of a request. This is the address of
// the peer, unless the peer is one of Options.TrustedProxies or a Unix socket
// trusted by Options.TrustUnixSockets. In that case it is the last address in
// X-Forwarded-For that is not a trusted proxy itself, with port 0. An address
// in X-Forwarded-For may have a port, brackets and double quotes:
// 203.0.113.5:17085, "[2001:db8::1]:443". The Forwarded header of RFC 7239 is
// not read: a proxy that writes both headers would have to remove the client's
// values from both. The address limits use this address, [SessionInfo] shows
// it, and authenticators receive it. It is not valid if Request.RemoteAddr is
// not an IP address and port, as on a Unix socket, and X-Forwarded-For supplies
// no address.
func (b *Broker) ClientAddress(r *http.Request) netip.AddrPort {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil && !(b.policy.Load().unix && unixPeer(r)) || err == nil && !b.trusted(peer.Addr()) {
		return peer
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		addr, ok := hop(hops[i])
		if !ok {
			break
		}
		peer = netip.AddrPortFrom(addr, 0)
		if !b.trusted(addr) {
			break
		}
	}
	return peer
}

// unixPeer reports whether a request came over a Unix socket.
func unixPeer(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && strings.HasPrefix(local.Network(), "unix")
}

// hop parses an address of X-Forwarded-For as proxies write it. Some proxies
// put it in double quotes, which the Forwarded header requires around brackets
// and ports.
func hop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, `"`); ok {
		if text, ok = strings.CutSuffix(inner, `"`); !ok {
			return netip.Addr{}, false
		}
	}
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr().WithZone(""), true
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if text, ok = strings.CutSuffix(inner, "]"); !ok {
			return netip.Addr{}, false
		}
		addr, err := netip.ParseAddr(text)
		return addr.WithZone(""), err == nil && addr.Is6()
	}
	addr, err := netip.ParseAddr(text)
	return addr.WithZone(""), err == nil
}

func (b *Broker) trusted(a netip.Addr) bool {
	for _, p := range b.policy.Load().trusted {
		if p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}
