package app

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/admin"
)

// publicHandler returns the handler of the public listener.
func (a *App) publicHandler() http.Handler {
	mux := http.NewServeMux()
	path := a.o.Config.WebSocket.Path
	a.mountEndpoint(mux)
	health := admin.Health(a.broker, a.storeReady)
	mux.Handle("/livez", health)
	mux.Handle("/readyz", health)
	mux.Handle(a.o.Config.Auth.Tickets.Path, &a.tickets)
	if a.access.Login != nil {
		mux.Handle("/oauth/", a.access.Login.Handler())
	}
	if a.fetcher != nil {
		mux.HandleFunc(dataPath, a.data)
	}
	if a.flow != nil {
		polls := a.pollHandler()
		for _, path := range pollPaths {
			mux.Handle(path, polls)
		}
	}
	if path != "/" {
		mux.Handle("/", a.nothingHere())
	}
	return a.forThisHost(a.withMajority(a.withoutRedirects(mux)))
}

// forThisHost rejects requests for another host than the broker's own, see
// websocket.hosts; in development mode this machine. The health endpoints are
// exempt because they reveal nothing.
func (a *App) forThisHost(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/livez" && r.URL.Path != "/readyz" {
			if err := a.broker.CheckHost(r); err != nil {
				auth.WriteRefusal(w, err)
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

// withoutRedirects answers 404 for paths with an empty segment below the
// endpoint, as SockJS requires. The mux would redirect them to the path without
// the empty segment.
func (a *App) withoutRedirects(mux *http.ServeMux) http.Handler {
	below := strings.TrimRight(a.o.Config.WebSocket.Path, "/") + "/"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, below) && strings.Contains(r.URL.Path, "//") {
			a.lost(r)
			http.NotFound(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// nothingHere answers all other paths with 404, and names the WebSocket
// endpoint.
func (a *App) nothingHere() http.Handler {
	text := fmt.Sprintf("This is hoofbeat, a STOMP broker. Its WebSocket endpoint is %s.\n", a.o.Config.WebSocket.Path)
	if a.o.Config.SockJS {
		text += "Clients of SockJS are served there, too.\n"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.lost(r)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(http.StatusNotFound)
		said := text
		if r.URL.Path != "/" {
			said = "404 page not found. " + text
		}
		_, _ = io.WriteString(w, said) // the browser may be gone
	})
}
