package app

import (
	"net/http"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/sockjs"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// mountEndpoint mounts the client endpoint: WebSocket at its path and, if
// enabled, SockJS at and below the same path.
func (a *App) mountEndpoint(mux *http.ServeMux) {
	c := a.o.Config
	if !c.SockJS {
		mux.Handle(c.WebSocket.Path, a.broker)
		return
	}
	a.sockJS = sockjs.Handler(a.broker, sockJSOptions(c))
	h := a.noteLost(a.sockJS)
	below := strings.TrimRight(c.WebSocket.Path, "/") + "/"
	mux.Handle(below, h)
	if c.WebSocket.Path != below {
		mux.Handle(c.WebSocket.Path, h)
	}
}

// noteLost logs WebSocket handshakes at paths that SockJS does not serve.
func (a *App) noteLost(h http.Handler) http.Handler {
	prefix := strings.TrimRight(a.o.Config.WebSocket.Path, "/")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest := strings.TrimPrefix(r.URL.Path, prefix)
		switch {
		case r.Header.Get("Upgrade") == "" && r.Header.Get("Sec-WebSocket-Key") != "":
			a.misplacedUpgrade(r)
		case r.Header.Get("Upgrade") != "" && rest != "" && rest != "/" && !strings.HasSuffix(rest, "/websocket"):
			a.lost(r)
		}
		h.ServeHTTP(w, r)
	})
}

func sockJSOptions(c *config.Config) sockjs.Options {
	body := config.Off
	if frame := c.Limits.Frame; frame != config.Off {
		body = int(max(256<<10, 4*frame)) // messages are in JSON, and a request may have several
	}
	return sockjs.Options{
		Prefix: c.WebSocket.Path, Cookie: loginCookie(c), OwnCookie: c.SockJSCookie,
		HeartBeat: sockJSHeartBeat(c.HeartBeat), Sessions: c.Limits.SockJSSessions, BodyLimit: body,
	}
}

// sockJSHeartBeat returns heartbeat.ping, or less if necessary, so that a
// silent client can show that it is alive before the broker disconnects it at
// three times heartbeat.expect.
func sockJSHeartBeat(h config.HeartBeat) time.Duration {
	switch {
	case h.Expect == config.Off:
		return h.Ping
	case h.Ping == config.Off:
		return 2 * h.Expect
	}
	return min(h.Ping, 2*h.Expect)
}

// loginCookie returns the full name of auth.oauth's cookie, or "" without
// auth.oauth.
func loginCookie(c *config.Config) string {
	if len(c.Auth.OAuth) == 0 {
		return ""
	}
	if strings.HasPrefix(c.Auth.OAuth[0].RedirectURL, "https:") {
		return "__Host-" + c.Auth.Sessions.Cookie
	}
	return c.Auth.Sessions.Cookie
}
