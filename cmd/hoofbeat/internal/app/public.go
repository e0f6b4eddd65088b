package app

import (
	"fmt"
	"net/http"

	"github.com/hoofbeat/hoofbeat/broker/admin"
)

// publicHandler is what strangers reach.
func (a *App) publicHandler() http.Handler {
	mux := http.NewServeMux()
	path := a.o.Config.WebSocket.Path
	a.mountEndpoint(mux)
	health := admin.Health(a.broker)
	mux.Handle("/livez", health)
	mux.Handle("/readyz", health)
	if a.tickets != nil {
		mux.Handle(a.o.Config.Auth.Tickets.Path, a.tickets)
	}
	if a.who.login != nil {
		mux.Handle("/oauth/", a.who.login.Handler())
	}
	if a.flow != nil {
		mux.Handle(pollPath, a.flow.Handler(a.who.identify))
	}
	if path != "/" {
		mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.WriteHeader(http.StatusNotFound)
			// The browser may be gone.
			_, _ = fmt.Fprintf(w, "This is hoofbeat, a STOMP broker. Its WebSocket endpoint is %s.\n", path)
			if a.o.Config.SockJS {
				_, _ = fmt.Fprintf(w, "Clients of SockJS are served there, too.\n")
			}
		})
	}
	return mux
}
