package sockjs

import (
	"strings"
	"time"
)

// Options configures [Handler]. Zero fields have the defaults that their
// comments give.
type Options struct {
	// Prefix is the path at which the handler is mounted, as it appears in the
	// URL of the request. Default "/ws".
	Prefix string

	// Cookie is the name of your login cookie, if there is one. It then ties
	// the requests of a session together, more reliably than OwnCookie. Default
	// none.
	Cookie string

	// OwnCookie is the name of a cookie with a random value that the handler
	// sets. It sets the cookie in its answers to /info and to every HTTP
	// request of a session that lacks it. The cookie ties the requests of a
	// session together, as JSESSIONID does in Spring, and lets a load balancer
	// route a client to one server. With OwnCookie or Cookie set, /info reports
	// cookie_needed. Default none.
	//
	// Set one of the two when clients connect through a proxy that is not in
	// the broker's TrustedProxies: their remote address is then the proxy's and
	// proves nothing.
	OwnCookie string

	// NoWebSocket makes /info report that there is no WebSocket, for servers
	// behind a proxy that breaks it, and answers the SockJS websocket transport
	// with 404. The raw WebSocket still works.
	NoWebSocket bool

	// IframeScript is the URL of sockjs-client for the page at iframe*.html.
	// Browsers without CORS use that page; only pages of the broker's own
	// origin may frame it. Default none: the page is answered with 404.
	IframeScript string

	// HeartBeat is how long either direction of a session may be silent; see
	// the package comment. Keep it below three times the broker's
	// Options.HeartBeat.Receive, after which the broker ends a silent session.
	// Default 25 s; a negative value disables it.
	HeartBeat time.Duration

	// DisconnectDelay is how long a session outlives its last receiving
	// request. Default 5 s.
	DisconnectDelay time.Duration

	// ResponseLimit is the number of bytes after which a streaming response
	// ends, so that the browser can free its memory. Default 131,072; negative
	// means no limit.
	ResponseLimit int

	// BodyLimit limits the bytes of one xhr_send request or WebSocket message.
	// JSON makes STOMP frames larger, and clients put several frames in one
	// request. Default 262,144; negative means no limit.
	BodyLimit int

	// Sessions limits the HTTP sessions open at one time. Further ones are
	// answered with 503. One address can have at most half of them. Default
	// 10,000; negative means no limit.
	Sessions int
}

const unlimited = int(^uint(0) >> 1)

func (o Options) withDefaults() Options {
	if o.Prefix == "" {
		o.Prefix = "/ws"
	}
	o.Prefix = strings.TrimRight(o.Prefix, "/") // "/" becomes ""
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
