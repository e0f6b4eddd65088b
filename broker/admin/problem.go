package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// problem is an error answer in the format of RFC 9457. The type is always
// "about:blank", because programs can act on the status alone.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Moved  *int   `json:"moved,omitempty"` // messages that were moved before

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

// writeJSON answers with v, one of this package's types, whose encoding cannot
// fail.
func writeJSON(w http.ResponseWriter, status int, v any) *problem {
	writeAs(w, "application/json", status, v)
	return nil
}

// noContent answers that something was done, without a body.
func noContent(w http.ResponseWriter) *problem {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func writeAs(w http.ResponseWriter, mediaType string, status int, v any) {
	setHeaders(w, mediaType)
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the client may be gone
}

// setHeaders sets the headers of every answer with a body.
func setHeaders(w http.ResponseWriter, mediaType string) {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}
