package sockjs

import (
	"net/http"
	"strings"

	"github.com/hoofbeat/hoofbeat/broker"
)

// Handler returns a handler that serves b at Options.Prefix and below. Mount it
// twice: at the prefix, and at the prefix with a trailing slash. It passes
// WebSocket upgrades of the prefix itself to [broker.Broker.ServeHTTP]
// unchanged. It mirrors Spring's TransportHandlingSockJsService. When the
// broker ends, so do all the handler's sessions.
func Handler(b *broker.Broker, o Options) http.Handler {
	o = o.withDefaults()
	return &handler{b: b, o: o, iframe: newIframe(o.IframeScript), sessions: sessions{byID: make(map[string]*session), max: o.Sessions}}
}

type handler struct {
	b        *broker.Broker
	o        Options
	iframe   *iframe
	sessions sessions
}

// ServeHTTP routes by the path after the prefix.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.Path, h.o.Prefix)
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	case (rest == "" || rest == "/") && r.Header.Get("Upgrade") != "":
		h.b.ServeHTTP(w, r)
	case rest == "" || rest == "/":
		greeting(w, r)
	case rest == "/info":
		h.info(w, r)
	case rest == "/websocket":
		h.b.ServeHTTP(w, r)
	case strings.HasPrefix(rest, "/iframe") && strings.HasSuffix(rest, ".html") && !strings.Contains(rest[1:], "/"):
		h.iframe.ServeHTTP(w, r)
	default:
		id, transport, ok := split(rest)
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		h.transport(w, r, id, transport)
	}
}

// maxSegment limits the ids in the URL, in bytes. Real clients use far fewer.
const maxSegment = 128

// split parses "/server/session/transport". It ignores the server part, which
// is for load balancers.
func split(path string) (id, transport string, ok bool) {
	parts := strings.Split(path, "/")
	if len(parts) != 4 || parts[0] != "" {
		return "", "", false
	}
	for _, segment := range parts[1:3] {
		if segment == "" || len(segment) > maxSegment || strings.Contains(segment, ".") {
			return "", "", false
		}
	}
	return parts[2], parts[3], true
}

func (h *handler) transport(w http.ResponseWriter, r *http.Request, id, transport string) {
	if transport == "websocket" && !h.o.NoWebSocket {
		h.webSocket(w, r)
		return
	}
	if transport == "xhr_send" {
		if allowed(w, r, http.MethodPost) {
			h.send(w, r, id)
		}
		return
	}
	k := kindOf(transport)
	if k == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if allowed(w, r, k.method) {
		h.receive(w, r, id, k)
	}
}
