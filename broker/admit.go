package broker

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/admission"
)

// Admission is the permission to open one session: the request's Origin is
// allowed, the caps have room for one more unauthenticated socket, and the
// authenticator has not rejected the request. It occupies a place in the caps
// until the session is CONNECTED or has ended, or Release is called.
type Admission struct{ entry admission.Entry }

// Release frees the place. Call it only if the Admission is not passed to
// Serve. It may be called twice and is safe on the zero value.
func (a *Admission) Release() {
	if a != nil {
		a.entry.Leave()
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
	entry, refusal := b.admit(r)
	if refusal != nil {
		b.stats.refused.Add(1)
		return Admission{}, refusal
	}
	return Admission{entry}, nil
}

func (b *Broker) admit(r *http.Request) (admission.Entry, *auth.Refusal) {
	if b.accepting() != nil {
		return admission.Entry{}, &auth.Refusal{Status: http.StatusServiceUnavailable, RetryAfter: time.Second, Reason: "draining"}
	}
	if refusal := b.checkPage(r); refusal != nil {
		return admission.Entry{}, refusal
	}
	remote := b.ClientAddress(r)
	entry, no := b.gate.Handshake(r, remote)
	if no != nil {
		return admission.Entry{}, b.refuseHandshake(remote, no)
	}
	return entry, nil
}

// refuseHandshake counts and logs a rejection before the upgrade, and returns
// the answer.
func (b *Broker) refuseHandshake(remote netip.AddrPort, no *admission.Rejection) *auth.Refusal {
	if no.Failed {
		b.stats.authFailures.Add(1)
	}
	if no.Why != "" {
		attrs := []any{"remote", remote, "error", no.Why}
		if no.Login != "" {
			attrs = append(attrs, "login", brief(no.Login))
		}
		b.logRejection("handshake refused", remote.Addr(), no, attrs)
	}
	if no.Limit != nil {
		b.refuse(no.Limit, remote, no.Login)
	}
	return no.Refusal()
}

// logRejection logs why a client was rejected, and the owner of its credential
// if it is known.
func (b *Broker) logRejection(kind string, addr netip.Addr, no *admission.Rejection, attrs []any) {
	if no.User != "" {
		attrs = append(attrs, "user", brief(no.User))
	}
	b.warn(kind, sourceOf(addr, firstOf(no.Login, no.User), brief(no.Why)), attrs...)
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
	return b.policy.Load().proxies.ClientAddress(r)
}

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
	end, reached := b.gate.TryPasscode(ctx, remote, login)
	if reached != nil {
		b.refuse(reached, remote, login)
		return nil, reached.Refusal()
	}
	return end, nil
}
