package auth

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// Refusal is an [Authenticator]'s error with a text for the client. Any other
// error also rejects the client, but then the client gets a constant text from
// the broker. Every field may be zero.
type Refusal struct {
	// Status is the HTTP status of a rejected handshake; 0 means 401. It has no
	// meaning at CONNECT.
	Status int
	// RetryAfter, if positive, tells the client when to try again. At the
	// handshake it is the Retry-After header, rounded up to seconds.
	RetryAfter time.Duration
	// Reason is the text for the client; "" means "authentication failed". It
	// must be constant text on one line. It must contain no credential and
	// nothing internal, and must not distinguish an unknown user from a wrong
	// passcode.
	Reason string
	// Challenge is the WWW-Authenticate header of a rejected handshake. Empty
	// means no header (RFC 6750 section 3).
	Challenge string
	// Origin, if set, is the rejected Origin of the page, and Key is the
	// configuration key of the binary that allows it. The answer to the
	// handshake includes both, to help debug the page.
	Origin, Key string
}

const defaultReason = "authentication failed"

// Error returns the text for the client.
func (r *Refusal) Error() string {
	if r.Reason == "" {
		return defaultReason
	}
	return r.Reason
}

// StatusCode returns the HTTP status for a rejected handshake: Status, or 401
// Unauthorized if it is zero.
func (r *Refusal) StatusCode() int {
	if r.Status == 0 {
		return http.StatusUnauthorized
	}
	return r.Status
}

// WriteRefusal answers a rejected HTTP request with {"error":"…"}. The text,
// the status and the Retry-After and WWW-Authenticate headers come from the
// [*Refusal] in err; its Origin and Key, if set, become "origin" and "key". Any
// other err, including nil, is answered like an empty Refusal.
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
	httpsec.WriteJSON(w, r.StatusCode(), struct {
		Error  string `json:"error"`
		Origin string `json:"origin,omitempty"`
		Key    string `json:"key,omitempty"`
	}{r.Error(), r.Origin, r.Key})
}
