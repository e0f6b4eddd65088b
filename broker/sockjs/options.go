package sockjs

import (
	"strings"
	"time"
)

// Options configure [Handler]. Zero fields have the defaults of their comments.
type Options struct {
	// Prefix is the path that the handler is mounted at, as it is in the URL of the
	// request. Default "/ws".
	Prefix string

	// Cookie names the cookie of your login, if users have one: it then ties the
	// requests of a session together, better than OwnCookie. Default none.
	Cookie string

	// OwnCookie names a cookie that is set in answer to /info and to every request
	// of a session over HTTP that has none, with a random value. It
	// ties the requests of a session together, as JSESSIONID does in Spring,
	// also for a load balancer that sends a client to one server by its cookie.
	// With it or Cookie /info says cookie_needed. Default none.
	//
	// Name one when clients come through a proxy that is not among the broker's
	// TrustedProxies: their remote address is the proxy's, and proves nothing.
	OwnCookie string

	// NoWebSocket says in /info that there is no WebSocket, for servers behind a
	// proxy that breaks it, and refuses the SockJS websocket transport.
	NoWebSocket bool

	// IframeScript is the URL of sockjs-client for the page at iframe*.html. The
	// page is for browsers without CORS and is framed by pages of our own origin
	// only. Default none, and the page is not found.
	IframeScript string

	// HeartBeat is how long a session may be silent in either direction, see the
	// package comment. Keep it below three times the broker's
	// Options.HeartBeat.Receive, after which a silent client is given up.
	// Default 25 s; negative switches it off.
	HeartBeat time.Duration

	// DisconnectDelay is how long a session outlives its last receiving request.
	// Default 5 s.
	DisconnectDelay time.Duration

	// ResponseLimit is the bytes after which a streaming response ends, to free
	// the browser's memory. Default 131,072; negative is no limit.
	ResponseLimit int

	// BodyLimit is the bytes of one xhr_send request or WebSocket message. JSON
	// makes STOMP larger, and clients put several frames in one request. Default
	// 262,144; negative is no limit.
	BodyLimit int

	// Sessions is how many sessions over HTTP there may be at a time; beyond it
	// requests are answered with 503, and one address has at most half of them.
	// Default 10,000; negative is no limit.
	Sessions int
}

const unlimited = int(^uint(0) >> 1)

func (o Options) withDefaults() Options {
	if o.Prefix == "" {
		o.Prefix = "/ws"
	}
	o.Prefix = strings.TrimRight(o.Prefix, "/") // the root is empty
	if o.HeartBeat == 0 {
		o.HeartBeat = 25 * time.Second
	}
	if o.HeartBeat < 0 {
		o.HeartBeat = 1 << 62 // never
	}
	if o.DisconnectDelay <= 0 {
		o.DisconnectDelay = 5 * time.Second
	}
	limit(&o.ResponseLimit, 128<<10)
	limit(&o.BodyLimit, 256<<10)
	limit(&o.Sessions, 10_000)
	return o
}

func limit(v *int, def int) {
	switch {
	case *v == 0:
		*v = def
	case *v < 0:
		*v = unlimited
	}
}
