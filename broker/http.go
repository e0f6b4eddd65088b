package broker

import (
	"errors"
	"net/http"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/wire"
	"github.com/hoofbeat/hoofbeat/broker/internal/wsconn"
)

// ServeHTTP upgrades a request to WebSocket and runs its session. It checks the
// upgrade headers first and then makes the checks of [Broker.Admit] in their
// order. All checks come before the 101, so that an unauthenticated client
// costs little. ServeHTTP returns at once; the session continues on a goroutine
// with a small stack, and net/http's buffers and request are freed.
func (b *Broker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := wsconn.Check(r); err != nil {
		b.stats.refused.Add(1)
		b.badHandshake(r, err)
		var bad *wsconn.HandshakeError
		if errors.As(err, &bad) {
			for name, values := range bad.Header {
				w.Header()[name] = values
			}
			auth.WriteRefusal(w, &auth.Refusal{Status: bad.Status, Reason: bad.Reason})
			return
		}
		auth.WriteRefusal(w, &auth.Refusal{Status: http.StatusBadRequest, Reason: "not a WebSocket handshake"})
		return
	}
	a, err := b.Admit(r)
	if err != nil {
		auth.WriteRefusal(w, err)
		return
	}
	protocol := wsconn.Subprotocol(r)
	if protocol == "" && r.Header.Get("Sec-WebSocket-Protocol") != "" {
		b.warn("the client offers no STOMP sub-protocol", sourceOf(a.entry.Remote.Addr(), "", ""), "remote", a.entry.Remote,
			"hint", "browsers end such a connection with 1006: offer v12.stomp beside the others, or none at all")
	}
	c, err := wsconn.Upgrade(w, r, protocol, b.o.Compression)
	if err != nil {
		a.Release()
		b.stats.refused.Add(1)
		b.o.Logger.Debug("upgrade failed", "remote", a.entry.Remote, "error", err)
		var bad *wsconn.HandshakeError
		if errors.As(err, &bad) { // the response can still be written
			auth.WriteRefusal(w, &auth.Refusal{Status: bad.Status, Reason: bad.Reason})
		}
		return
	}
	s, err := b.newSession(wire.NewWebSocket(c), &a.entry)
	if err != nil { // draining or closed since Admit
		a.Release()
		c.Abort()
		return
	}
	if !b.spawn(s.run) {
		s.abandon()
	}
}

// badHandshake logs a warning for an invalid WebSocket handshake: a proxy has
// probably damaged it. It ignores requests without any handshake header.
func (b *Broker) badHandshake(r *http.Request, err error) {
	if r.Header.Get("Upgrade") == "" && r.Header.Get("Sec-WebSocket-Key") == "" {
		return
	}
	remote := b.ClientAddress(r)
	b.warn("handshake refused", sourceOf(remote.Addr(), "", err.Error()), "remote", remote, "error", err,
		"hint", "a proxy has to pass HTTP/1.1 with the headers Upgrade and Connection")
}
