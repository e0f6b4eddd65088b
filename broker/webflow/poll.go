package webflow

import (
	"errors"
	"net/http"

	"github.com/hoofbeat/hoofbeat/auth"
)

// Caller is who polls.
type Caller struct {
	// Principal is who he is, by the same rules as for a registration. Nil is
	// nobody, who needs the token.
	Principal *auth.Principal
	// PollToken is the `poll-token` header of the reply to the latest
	// registration of the operation.
	PollToken string
}

// State is what a poll is told.
type State struct {
	WebSocketID string
	Result      string // the latest result, "" while there is none
	Terminal    bool   // no other will follow
}

// Result returns what a page that cannot have a WebSocket would have been told. It
// changes nothing: a result that is polled is still delivered.
//
// ErrUnknown is the answer about an operation that does not exist and about one
// that is somebody else's; ErrTooOften to an owner who polls too often.
func (f *Flow) Result(webSocketID string, caller Caller) (State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	op := f.byWebSocketID[webSocketID]
	if op == nil || !f.mayPoll(op, caller) {
		return State{}, ErrUnknown
	}
	now := f.now()
	if op.polled != 0 && now-op.polled < int64(f.o.PollInterval) {
		return State{}, ErrTooOften
	}
	op.polled = now
	return State{op.webSocketID, op.result.text, op.result.terminal}, nil
}

func (f *Flow) mayPoll(op *operation, caller Caller) bool {
	return op.knows(caller.PollToken) || caller.Principal != nil && f.mayRegister(op, caller.Principal, "", "")
}

// Handler serves GET /operations/{webSocketId}/result for pages that cannot have
// a WebSocket: {"webSocketId":"…","authResult":"…"}, null while there is no result.
// A caller shows a `poll-token` header, or identify says who he is, by his session
// cookie or bearer token; it may be nil, and returns nil for a caller whom it does
// not know. Answers are 200, 404 for operations that do not exist and for others'
// alike, and 429 with Retry-After for more polls than [Options.PollInterval] allows.
// None may be stored.
func (f *Flow) Handler(identify func(*http.Request) *auth.Principal) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /operations/{webSocketId}/result", func(w http.ResponseWriter, r *http.Request) {
		caller := Caller{PollToken: r.Header.Get(pollTokenHeader)}
		if identify != nil {
			caller.Principal = identify(r)
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "application/json")
		state, err := f.Result(r.PathValue("webSocketId"), caller)
		status, body := http.StatusOK, []byte(nil)
		switch {
		case errors.Is(err, ErrTooOften):
			w.Header().Set("Retry-After", "1")
			status, body = http.StatusTooManyRequests, []byte(`{"error":"too_many_requests"}`)
		case err != nil:
			status, body = http.StatusNotFound, []byte(`{"error":"not_found"}`)
		case state.Result == "":
			body = waiting(state.WebSocketID)
		default:
			body = notification(state.WebSocketID, state.Result)
		}
		w.WriteHeader(status)
		_, _ = w.Write(body) // who does not read the answer polls again
	})
	return mux
}
