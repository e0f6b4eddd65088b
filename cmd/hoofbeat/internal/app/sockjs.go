package app

import (
	"net/http"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/sockjs"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// mountEndpoint puts what clients connect to at its path: WebSocket, and SockJS
// at and below the same path if it is on.
func (a *App) mountEndpoint(mux *http.ServeMux) {
	c := a.o.Config
	if !c.SockJS {
		mux.Handle(c.WebSocket.Path, a.broker)
		return
	}
	h := a.noteLost(sockjs.Handler(a.broker, sockJSOptions(c)))
	below := strings.TrimRight(c.WebSocket.Path, "/") + "/"
	mux.Handle(below, h)
	if c.WebSocket.Path != below {
		mux.Handle(c.WebSocket.Path, h)
	}
}

// noteLost logs WebSocket handshakes that SockJS has no place for.
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
		body = max(256<<10, 4*frame) // in JSON, and more of them than one
	}
	return sockjs.Options{
		Prefix: c.WebSocket.Path, Cookie: loginCookie(c), OwnCookie: c.SockJSCookie,
		HeartBeat: sockJSHeartBeat(c.HeartBeat), Sessions: c.Limits.SockJSSessions, BodyLimit: body,
	}
}

// sockJSHeartBeat is heartbeat.ping, but often enough for a silent client to show
// that it lives before it is given up, which is at three times heartbeat.expect.
func sockJSHeartBeat(h config.HeartBeat) time.Duration {
	switch {
	case h.Expect == config.Off:
		return h.Ping
	case h.Ping == config.Off:
		return 2 * h.Expect
	}
	return min(h.Ping, 2*h.Expect)
}

// loginCookie is the cookie of auth.oauth as browsers know it, "" without.
func loginCookie(c *config.Config) string {
	if len(c.Auth.OAuth) == 0 {
		return ""
	}
	if strings.HasPrefix(c.Auth.OAuth[0].RedirectURL, "https:") {
		return "__Host-" + c.Auth.Sessions.Cookie
	}
	return c.Auth.Sessions.Cookie
}
