package admin

import (
	"errors"
	"io"
	"net/http"

	"github.com/hoofbeat/hoofbeat/broker"
)

// health is the answer of /livez and /readyz to ?verbose.
type health struct {
	Status  string   `json:"status"` // "ok" or "not ready"
	Reasons []string `json:"reasons"`
}

// Health returns a handler for /livez and /readyz that needs no token, for
// listeners other than the admin API's, which includes it. /livez answers 200
// while the program runs. /readyz answers 200 while the broker accepts new
// sessions, and 503 once it is draining or closed. The answer is the text "ok"
// or "not ready", or with ?verbose the JSON {"status","reasons"}.
func Health(b *broker.Broker) http.Handler {
	return newMux([]route{
		{"GET", "/livez", func(w http.ResponseWriter, r *http.Request) *problem {
			return answerHealth(w, r, nil)
		}},
		{"GET", "/readyz", func(w http.ResponseWriter, r *http.Request) *problem {
			return answerHealth(w, r, b.Ready(r.Context()))
		}},
	})
}

func answerHealth(w http.ResponseWriter, r *http.Request, unready error) *problem {
	status, h := http.StatusOK, health{Status: "ok", Reasons: []string{}}
	if unready != nil {
		reason := "the broker takes no new sessions"
		switch {
		case errors.Is(unready, broker.ErrDraining):
			reason = "the broker is draining"
		case errors.Is(unready, broker.ErrClosed):
			reason = "the broker is closed"
		}
		status, h = http.StatusServiceUnavailable, health{"not ready", []string{reason}}
	}
	if r.URL.Query().Has("verbose") {
		return writeJSON(w, status, h)
	}
	setHeaders(w, "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, h.Status+"\n") // the client may be gone
	return nil
}
