package auth

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Refusal is an [Authenticator]'s no, with what the client is to be told. Any other error refuses as well, but then
// the client hears a constant text of the broker's. Every field may be zero.
type Refusal struct {
	// Status is the HTTP status of a refusal at the handshake, 401 if zero. At CONNECT it has no meaning.
	Status int
	// RetryAfter, if positive, tells the client when to try again: the Retry-After header at the handshake,
	// rounded up to seconds.
	RetryAfter time.Duration
	// Reason is what the client is told, "authentication failed" if empty. It is constant text on one line: no
	// credential, nothing that tells an unknown user from a wrong passcode, nothing internal.
	Reason string
	// Challenge is the WWW-Authenticate header of a refusal at the handshake, none if empty (RFC 6750 section 3).
	Challenge string
	// Origin, if set, is the Origin of the page that was refused, and Key the key of the configuration, as the binary
	// calls it, that lets it in. They are in the answer at the handshake, for whoever debugs the page.
	Origin, Key string
}

const defaultReason = "authentication failed"

// Error returns the text that the client is told.
func (r *Refusal) Error() string {
	if r.Reason == "" {
		return defaultReason
	}
	return r.Reason
}

// StatusCode returns the HTTP status to answer the handshake with: Status, or 401 Unauthorized if it is zero.
func (r *Refusal) StatusCode() int {
	if r.Status == 0 {
		return http.StatusUnauthorized
	}
	return r.Status
}

// WriteRefusal answers an HTTP request that was refused with {"error":"…"}, the text of the [*Refusal] in err,
// with "origin" and "key" beside it if there are such, its status, and the Retry-After and WWW-Authenticate headers that
// belong to it. Any other err, nil included, is answered
// as an empty Refusal would be.
func WriteRefusal(w http.ResponseWriter, err error) {
	var r *Refusal
	if !errors.As(err, &r) {
		r = new(Refusal)
	}
	if r.Challenge != "" {
		w.Header().Set("WWW-Authenticate", r.Challenge)
	}
	if r.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((r.RetryAfter+time.Second-1)/time.Second), 10))
	}
	writeJSON(w, r.StatusCode(), struct {
		Error  string `json:"error"`
		Origin string `json:"origin,omitempty"`
		Key    string `json:"key,omitempty"`
	}{r.Error(), r.Origin, r.Key})
}

// writeJSON answers with what must not be kept by anybody in between.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
