package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// problem is an answer that says what went wrong, as RFC 9457 has it. The type
// is always "about:blank": the status tells all that a program can act on.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`

	challenge  string        // WWW-Authenticate
	retryAfter time.Duration // Retry-After, rounded up to seconds
	hangUp     bool          // close the connection
}

func problemf(status int, format string, args ...any) *problem {
	return &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

func (p *problem) write(w http.ResponseWriter) {
	h := w.Header()
	if p.challenge != "" {
		h.Set("WWW-Authenticate", p.challenge)
	}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((p.retryAfter+time.Second-1)/time.Second), 10))
	}
	if p.hangUp {
		h.Set("Connection", "close")
	}
	writeAs(w, "application/problem+json", p.Status, p)
}

// writeJSON answers with v, one of this package's types that always encode.
func writeJSON(w http.ResponseWriter, status int, v any) *problem {
	writeAs(w, "application/json", status, v)
	return nil
}

func writeAs(w http.ResponseWriter, mediaType string, status int, v any) {
	setHeaders(w, mediaType)
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the client may be gone
}

// setHeaders sets what every answer with a body has.
func setHeaders(w http.ResponseWriter, mediaType string) {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}
