package app

import (
	"bufio"
	"bytes"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// plainText is a listener without TLS that detects clients that use TLS.
type plainText struct {
	net.Listener
	key  string // configuration key
	away *turnedAway
}

func (l *plainText) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &sniffed{Conn: c, l: l}, nil
}

// sniffed is a connection whose first bytes are checked when they are read.
type sniffed struct {
	net.Conn
	l *plainText // nil after the check
}

func (c *sniffed) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if l := c.l; l != nil && n > 0 {
		c.l = nil
		switch {
		case p[0] == 0x16: // a TLS handshake record; no HTTP method begins with this byte
			l.away.say(slog.LevelWarn, "a client spoke TLS to a plain-text listener", addressOf(c.RemoteAddr().String()), l.key,
				"listener", l.key, "hint", l.hint())
		case bareSTOMP(p[:n]):
			l.away.say(slog.LevelWarn, "a client spoke STOMP without a WebSocket", addressOf(c.RemoteAddr().String()), l.key,
				"listener", l.key, "hint", "use ws://, or configure tcp and use its address")
		}
	}
	return n, err
}

// bareSTOMP reports whether a connection begins with a frame of STOMP. Behind
// HTTP's method CONNECT there is a space.
func bareSTOMP(p []byte) bool {
	line, _, ended := bytes.Cut(p, []byte("\n"))
	command := string(bytes.TrimSuffix(line, []byte("\r")))
	return ended && (command == "CONNECT" || command == "STOMP")
}

func (l *plainText) hint() string {
	if l.key == "admin" {
		return "use http://: the admin listener has no TLS"
	}
	return "use ws:// or http://, or configure tls.cert and tls.key; behind a proxy, let the proxy speak http"
}

// unwrapped gives the connection without wrappers to handlers that take over a
// connection.
func unwrapped(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			w = &unwrapping{w}
		}
		h.ServeHTTP(w, r)
	})
}

type unwrapping struct{ http.ResponseWriter }

func (u *unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func (u *unwrapping) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	return withoutWrappers(c), rw, err
}

// serverErrors is the ErrorLog of an [http.Server]. A failed TLS handshake is a
// warning, because it explains why a client cannot connect; everything else is
// logged at debug level.
type serverErrors struct {
	key  string // of the listener
	away *turnedAway
}

func (e *serverErrors) logger() *stdlog.Logger { return stdlog.New(e, "", 0) }

const handshakeError = "http: TLS handshake error from "

func (e *serverErrors) Write(p []byte) (int, error) {
	text := strings.TrimSpace(string(p))
	rest, ok := strings.CutPrefix(text, handshakeError)
	remote, why, found := strings.Cut(rest, ": ")
	if !ok || !found || idle(why) {
		e.away.log.Debug(text)
		return len(p), nil
	}
	attrs := []any{"listener", e.key, "error", legible(why)}
	if hint := handshakeHint(why); hint != "" {
		attrs = append(attrs, "hint", hint)
	}
	e.away.say(slog.LevelWarn, "TLS handshake failed", addressOf(remote), legible(why), attrs...)
	return len(p), nil
}

// idle reports whether a handshake failed because the client sent nothing: a
// health check, or a browser that opened a connection in advance.
func idle(why string) bool {
	return why == "EOF" || strings.Contains(why, "i/o timeout") || strings.Contains(why, "connection reset")
}

func handshakeHint(why string) string {
	switch {
	case strings.Contains(why, "HTTP request to an HTTPS server"):
		return "use wss:// or https://, since tls.cert is set"
	case strings.Contains(why, "unknown certificate"), strings.Contains(why, "bad certificate"), strings.Contains(why, "unknown certificate authority"):
		return "the client does not trust the certificate of tls.cert: is the chain complete, and the name right?"
	case strings.Contains(why, "didn't provide a certificate"):
		return "tls.client_ca is set, so every client must have a certificate"
	}
	return ""
}

func addressOf(remote string) netip.Addr {
	a, _ := netip.ParseAddrPort(remote) // zero for other networks
	return a.Addr()
}
