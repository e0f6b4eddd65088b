package admin

import (
	"errors"
	"io"
	"net/http"
	"time"

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
// or "not ready", or with ?verbose the JSON {"status","reasons"}. Each of also can
// say why the program is not ready all the same; the text of its error is the
// reason.
func Health(b *broker.Broker, also ...func() error) http.Handler {
	return newMux([]route{
		{"GET", "/livez", func(w http.ResponseWriter, r *http.Request) *problem {
			return answerHealth(w, r, nil)
		}},
		{"GET", "/readyz", func(w http.ResponseWriter, r *http.Request) *problem {
			var reasons []string
			if err := b.Ready(r.Context()); err != nil {
				reasons = append(reasons, whyNotReady(err))
			}
			for _, ready := range also {
				if err := ready(); err != nil {
					reasons = append(reasons, err.Error())
				}
			}
			return answerHealth(w, r, reasons)
		}},
	})
}

// Starting returns a handler for the time before there is a [broker.Broker], for
// example while a store is recovered. /livez answers 200, /readyz answers 503
// with the text of reason's error, as that of [Health] does, and everything else
// answers 503 with the header Retry-After.
func Starting(reason func() error) http.Handler {
	routes := []route{
		{"GET", "/livez", func(w http.ResponseWriter, r *http.Request) *problem {
			return answerHealth(w, r, nil)
		}},
		{"GET", "/readyz", func(w http.ResponseWriter, r *http.Request) *problem {
			return answerHealth(w, r, []string{reason().Error()})
		}},
	}
	known := newMux(routes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/livez" || r.URL.Path == "/readyz" {
			known.ServeHTTP(w, r)
			return
		}
		p := problemf(http.StatusServiceUnavailable, "%v", reason())
		p.retryAfter = startingRetry
		p.write(w)
	})
}

// startingRetry is the Retry-After of a program that starts.
const startingRetry = 5 * time.Second

func whyNotReady(err error) string {
	switch {
	case errors.Is(err, broker.ErrDraining):
		return "the broker is draining"
	case errors.Is(err, broker.ErrClosed):
		return "the broker is closed"
	}
	return "the broker takes no new sessions"
}

func answerHealth(w http.ResponseWriter, r *http.Request, reasons []string) *problem {
	status, h := http.StatusOK, health{Status: "ok", Reasons: []string{}}
	if len(reasons) > 0 {
		status, h = http.StatusServiceUnavailable, health{"not ready", reasons}
	}
	if r.URL.Query().Has("verbose") {
		return writeJSON(w, status, h)
	}
	setHeaders(w, "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, h.Status+"\n") // the client may be gone
	return nil
}
