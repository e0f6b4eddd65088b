package webflow

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// HandlerOptions configures how [Flow.PollHandler] identifies its callers. With
// the zero value it accepts poll tokens only.
type HandlerOptions struct {
	// Identify returns the principal of a request, from a session cookie or
	// bearer token, or nil if it does not know the caller. Nil: no caller is
	// identified this way.
	Identify func(*http.Request) *auth.Principal
	// Cookies says that Identify uses cookies, so that pages of the broker's
	// Options.Origins may send credentials. It has no effect if one of these is
	// *, null or file://, because pages of any site can have such an origin.
	Cookies bool
	// Ticket redeems a ticket that a page exchanges for a poll token: use
	// [github.com/hoofbeat/hoofbeat/auth/ticket.Issuer.Consume]. origin is the
	// request's Origin, "" if it has none. An error is answered with 401, and an
	// [*auth.Refusal] that says 503 with 503. Nil: tickets are not accepted.
	Ticket func(ctx context.Context, ticket, origin string) (*auth.Principal, error)
}

// Handler is [Flow.PollHandler] with only Identify set, which may be nil.
func (f *Flow) Handler(identify func(*http.Request) *auth.Principal) http.Handler {
	return f.PollHandler(HandlerOptions{Identify: identify})
}

// PollHandler serves pages that cannot open a WebSocket.
//
// GET /operations/{webSocketId}/result answers
// {"webSocketId":"…","authResult":"…"}, with null while there is no result. The
// caller must send a `poll-token` header, or Identify must return its
// principal.
//
// POST /operations/{webSocketId}/poll-token answers
// {"webSocketId":"…","pollToken":"…"} to a caller that may poll. A page that
// has only a ticket starts here: it sends "Authorization: Ticket …" once. Any
// answer spends the ticket. GET accepts no ticket, because a browser or proxy
// may repeat a GET.
//
// The answers are 200, 401 for a rejected ticket, 404 for an operation that
// does not exist or is not the caller's, 429 with Retry-After for polls more
// frequent than [Options.PollInterval] allows, and 503 with Retry-After while
// the ticket cannot be checked or the Store does not answer. None may be cached.
//
// The pages that may connect may also poll, according to the broker's
// Options.Origins and [broker.Policy]: they get the CORS headers they need.
// Others get 403, which the broker logs. A request without an Origin, such as
// one from a backend, is not subject to this check.
func (f *Flow) PollHandler(o HandlerOptions) http.Handler {
	h := &pollHandler{f: f, o: o}
	mux := http.NewServeMux()
	mux.Handle("/operations/{webSocketId}/result", h.forPages(http.MethodGet, h.result))
	mux.Handle("/operations/{webSocketId}/poll-token", h.forPages(http.MethodPost, h.pollToken))
	return mux
}

type pollHandler struct {
	f *Flow
	o HandlerOptions
}

// forPages wraps an endpoint of one method with the check of the Origin and the
// CORS headers.
func (h *pollHandler) forPages(method string, serve http.HandlerFunc) http.Handler {
	cors := httpsec.CORS{
		Methods: method, Headers: "Authorization, Content-Type, " + pollTokenHeader,
		Expose:      pollTokenHeader + ", Retry-After, WWW-Authenticate",
		Credentials: h.o.Cookies && h.o.Identify != nil,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.f.b.CheckPage(w.Header(), r, cors); err != nil {
			auth.WriteRefusal(w, err)
			return
		}
		switch {
		case r.Method == method || method == http.MethodGet && r.Method == http.MethodHead:
			serve(w, r)
		case r.Method == http.MethodOptions && r.Header.Get("Origin") != "":
			cors.Preflight(w)
		default:
			refuseMethod(w, method)
		}
	})
}

func (h *pollHandler) result(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("webSocketId")
	state, err := h.f.Result(r.Context(), id, h.caller(r, id))
	switch {
	case err != nil:
		refusePoll(w, err)
	case state.Result == "":
		answerPoll(w, http.StatusOK, waiting(state.WebSocketID))
	default:
		answerPoll(w, http.StatusOK, notification(state.WebSocketID, state.Result))
	}
}

func (h *pollHandler) pollToken(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("webSocketId")
	caller := h.caller(r, id)
	if ticket, ok := ticketOf(r); ok && h.o.Ticket != nil {
		p, err := h.o.Ticket(r.Context(), ticket, r.Header.Get("Origin"))
		if no, ok := errors.AsType[*auth.Refusal](err); ok && no.StatusCode() == http.StatusServiceUnavailable {
			auth.WriteRefusal(w, no) // it says nothing about the ticket
			return
		}
		if err != nil {
			w.Header().Set("WWW-Authenticate", "Ticket")
			answerPoll(w, http.StatusUnauthorized, []byte(`{"error":"invalid_ticket"}`))
			return
		}
		caller = Caller{Principal: p}
	}
	token, err := h.f.PollToken(r.Context(), id, caller)
	if err != nil {
		refusePoll(w, err)
		return
	}
	w.Header().Set(pollTokenHeader, token)
	answerPoll(w, http.StatusOK, polling(id, token))
}

// caller identifies the sender of a request about an operation. A valid poll
// token is enough: Identify may have to ask another server.
func (h *pollHandler) caller(r *http.Request, id string) Caller {
	caller := Caller{PollToken: r.Header.Get(pollTokenHeader)}
	if h.o.Identify != nil && !h.f.holdsToken(id, caller.PollToken) {
		caller.Principal = h.o.Identify(r)
	}
	return caller
}

// ticketOf returns the ticket in the Authorization header. It treats several
// such headers as an invalid ticket.
func ticketOf(r *http.Request) (ticket string, ok bool) {
	all := r.Header.Values("Authorization")
	if len(all) == 0 {
		return "", false
	}
	scheme, ticket, _ := strings.Cut(all[0], " ")
	if !strings.EqualFold(scheme, "ticket") {
		return "", false
	}
	if len(all) > 1 {
		return "", true
	}
	return strings.TrimSpace(ticket), true
}

func refusePoll(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrTooOften):
		w.Header().Set("Retry-After", "1")
		answerPoll(w, http.StatusTooManyRequests, []byte(`{"error":"too_many_requests"}`))
	case errors.Is(err, ErrUnknown):
		answerPoll(w, http.StatusNotFound, []byte(`{"error":"not_found"}`))
	default: // the Store fails, or the Flow is closed
		w.Header().Set("Retry-After", "1")
		answerPoll(w, http.StatusServiceUnavailable, []byte(`{"error":"unavailable"}`))
	}
}

// refuseMethod answers a method that the endpoint does not support.
func refuseMethod(w http.ResponseWriter, method string) {
	allow := method
	if method == http.MethodGet {
		allow = "GET, HEAD"
	}
	w.Header().Set("Allow", allow)
	answerPoll(w, http.StatusMethodNotAllowed, []byte(`{"error":"method_not_allowed"}`))
}

func answerPoll(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that missed the answer polls again
}
