package sockjs

import (
	"context"
	"net/http"
	"strings"

	"github.com/hoofbeat/hoofbeat/broker"
)

// Handler returns a handler that serves b at Options.Prefix and below. Mount it
// twice: at the prefix, and at the prefix with a trailing slash. It passes
// WebSocket upgrades of the prefix itself to [broker.Broker.ServeHTTP]
// unchanged. It mirrors Spring's TransportHandlingSockJsService. When the
// broker ends, so do all the endpoint's sessions; see [Endpoint.Shutdown].
func Handler(b *broker.Broker, o Options) *Endpoint {
	o = o.withDefaults()
	return &Endpoint{b: b, o: o, iframe: newIframe(o.IframeScript), sessions: sessions{byID: make(map[string]*session), max: o.Sessions}}
}

// Endpoint is the handler of a SockJS endpoint. It is safe for concurrent use.
type Endpoint struct {
	b        *broker.Broker
	o        Options
	iframe   *iframe
	sessions sessions
}

// ServeHTTP routes by the path after the prefix.
func (h *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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

// Shutdown waits until the clients of ended sessions have fetched the reason for
// which their session ended. A polling client does so with its next request.
// Call Shutdown after [broker.Broker.Drain] and before [http.Server.Shutdown]:
// otherwise these clients see a server that is down, and do not learn that they
// should reconnect. It returns the error of ctx if that ends first, and waits no
// longer than [Options.DisconnectDelay] for a client.
func (h *Endpoint) Shutdown(ctx context.Context) error {
	for _, s := range h.sessions.all() {
		told := s.whenTold()
		if told == nil {
			continue
		}
		select {
		case <-told:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
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

func (h *Endpoint) transport(w http.ResponseWriter, r *http.Request, id, transport string) {
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
