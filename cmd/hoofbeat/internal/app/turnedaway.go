package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"unicode"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/auth/loglimit"
)

// turnedAway logs rejected requests, so that an operator can find out why a
// client cannot connect. Unauthenticated clients cause its lines, so they are
// rate-limited, and none contains a credential or the query of a URL.
type turnedAway struct {
	log   *slog.Logger
	quiet loglimit.Limiter
}

// say logs an event that a client at an address caused. what distinguishes
// events with different causes.
func (t *turnedAway) say(level slog.Level, kind string, from netip.Addr, what string, attrs ...any) {
	key := loglimit.Key{Kind: kind, From: what, Network: loglimit.Network(from)}
	t.quiet.Log(context.Background(), t.log, level, key, append([]any{"remote", from.String()}, attrs...)...)
}

// ticketRefused logs why a request got no ticket.
func (a *App) ticketRefused(r *http.Request, err error) {
	status := http.StatusUnauthorized
	var refusal *auth.Refusal
	if errors.As(err, &refusal) {
		status = refusal.StatusCode()
	}
	login, _, basic := r.BasicAuth()
	attrs := []any{"path", legible(r.URL.Path), "status", status, "error", err.Error(), "credential", credentialOf(r)}
	if basic {
		attrs = append(attrs, "login", legible(login))
	}
	if hint := a.ticketHint(r, status); hint != "" {
		attrs = append(attrs, "hint", hint)
	}
	a.away.say(slog.LevelWarn, "ticket refused", a.access.ClientAddress(r), login+" "+err.Error(), attrs...)
}

// ticketHint returns what to do, if the error does not say it.
func (a *App) ticketHint(r *http.Request, status int) string {
	_, bearer := httpsec.RequestToken(r.Header)
	switch {
	case r.URL.Query().Has("access_token"):
		return "the place of an access token is the header Authorization: Bearer"
	case status != http.StatusUnauthorized:
		return ""
	case r.Header.Get("Authorization") == "" && r.Header.Get("Cookie") == "":
		return "the request has no credential: it wants a bearer token, a login cookie, or by POST the login and passcode of HTTP Basic, whichever auth has"
	case bearer && a.access.Bearer == nil:
		return "auth.jwt, auth.introspection and auth.userinfo are not set, so no bearer token is known"
	case credentialOf(r) == "basic" && a.access.Users == nil:
		return "auth.users.file is not set, so no passcode is known"
	}
	return ""
}

// credentialOf names the kind of credential of a request.
func credentialOf(r *http.Request) string {
	_, bearer := httpsec.RequestToken(r.Header)
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case bearer:
		return "bearer"
	case strings.EqualFold(scheme, "basic"):
		return "basic"
	case scheme != "":
		return "of another scheme"
	case r.Header.Get("Cookie") != "":
		return "cookie"
	}
	return "none"
}

// lost logs a request for a path that is not served. An attempt to connect is a
// warning.
func (a *App) lost(r *http.Request) {
	level := slog.LevelDebug
	if wantsToConnect(r) {
		level = slog.LevelWarn
	}
	path := legible(r.URL.Path)
	a.away.say(level, "a client asked for a path that is not served", a.broker.ClientAddress(r).Addr(), "",
		"path", path, "endpoint", a.o.Config.WebSocket.Path, "key", "websocket.path")
}

// misplacedUpgrade logs a handshake without an Upgrade header.
func (a *App) misplacedUpgrade(r *http.Request) {
	a.away.say(slog.LevelWarn, "a WebSocket handshake came without its Upgrade header", a.broker.ClientAddress(r).Addr(), "",
		"path", legible(r.URL.Path), "hint", "a proxy in between has to pass HTTP/1.1 with the headers Upgrade and Connection")
}

// noSocket logs clients that request a WebSocket from the admin listener.
func (a *App) noSocket(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			a.away.say(slog.LevelWarn, "a client tried to connect to the admin listener", addressOf(r.RemoteAddr), "",
				"path", legible(r.URL.Path), "endpoint", a.o.Config.WebSocket.Path, "key", "listen", "hint", "WebSockets are served at the address of listen")
		}
		h.ServeHTTP(w, r)
	})
}

// sockJSPath matches the end of the paths that SockJS clients request.
var sockJSPath = regexp.MustCompile(`/(info|websocket|iframe[^/]*\.html|[0-9]{3}/[^/]+/(xhr|xhr_streaming|xhr_send|eventsource|htmlfile|jsonp|jsonp_send))$`)

// wantsToConnect reports whether a request looks like one of a WebSocket or
// SockJS client.
func wantsToConnect(r *http.Request) bool {
	return r.Header.Get("Upgrade") != "" || r.Header.Get("Sec-WebSocket-Key") != "" || sockJSPath.MatchString(r.URL.Path)
}

// legible returns a client's text on one short line.
func legible(text string) string {
	const most = 200
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
