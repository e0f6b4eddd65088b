package broker

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/wsconn"
)

// ServeHTTP upgrades a request to WebSocket and runs its session. The checks
// come in the order of [Broker.Admit], after those of the upgrade headers, all
// before the 101: nothing is spent on a stranger. The handler returns at once;
// the session goes on in a goroutine with a small stack, and net/http's buffers
// and request are free.
func (b *Broker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := wsconn.Check(r); err != nil {
		b.stats.refused.Add(1)
		var bad *wsconn.HandshakeError
		if errors.As(err, &bad) {
			for name, values := range bad.Header {
				w.Header()[name] = values
			}
			WriteRefusal(w, &auth.Refusal{Status: bad.Status, Reason: bad.Reason})
			return
		}
		WriteRefusal(w, &auth.Refusal{Status: http.StatusBadRequest, Reason: "not a WebSocket handshake"})
		return
	}
	a, err := b.Admit(r)
	if err != nil {
		b.stats.refused.Add(1)
		WriteRefusal(w, err)
		return
	}
	c, err := wsconn.Upgrade(w, r, wsconn.Subprotocol(r))
	if err != nil {
		a.Release()
		b.stats.refused.Add(1)
		b.o.Logger.Debug("upgrade failed", "remote", a.remote, "error", err)
		var bad *wsconn.HandshakeError
		if errors.As(err, &bad) { // the response is ours still
			WriteRefusal(w, &auth.Refusal{Status: bad.Status, Reason: bad.Reason})
		}
		return
	}
	s, err := b.newSession(webSocketWire{byteWire{c.Conn}, c}, &a)
	if err != nil { // draining or closed since Admit
		a.Release()
		c.Abort()
		return
	}
	if !b.spawn(s.run) {
		s.abandon()
	}
}

// WriteRefusal answers a request that [Broker.Admit] refused, as JSON:
// {"error":"…"} with the status, Retry-After and WWW-Authenticate that belong
// to it.
func WriteRefusal(w http.ResponseWriter, err error) {
	status, reason := http.StatusUnauthorized, "authentication failed"
	var refusal *auth.Refusal
	if errors.As(err, &refusal) {
		if refusal.Status != 0 {
			status = refusal.Status
		}
		if refusal.Reason != "" {
			reason = refusal.Reason
		}
		if refusal.Challenge != "" {
			w.Header().Set("WWW-Authenticate", refusal.Challenge)
		}
		if refusal.RetryAfter > 0 {
			seconds := int((refusal.RetryAfter + time.Second - 1) / time.Second)
			w.Header().Set("Retry-After", strconv.Itoa(seconds))
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": reason}) // the client may be gone
}
