package webflow

import (
	"crypto/rand"

	"github.com/hoofbeat/hoofbeat/auth"
)

// Caller is who polls.
type Caller struct {
	// Principal is who he is, by the same rules as for a registration. Nil is
	// nobody, who needs the token.
	Principal *auth.Principal
	// PollToken is the `poll-token` header of the reply to the latest
	// registration of the operation, or what [Flow.PollToken] has returned.
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

// PollToken returns a token with which the caller may poll the operation until it
// ends or a session registers it: what a page without a WebSocket exchanges its
// ticket for. All who may poll an operation of a known owner get the same token, as
// does who has registered it; one that is anyone's has a new token for each
// stranger, and what the others have is void.
//
// ErrUnknown is the answer about an operation that does not exist and about one
// that is somebody else's.
func (f *Flow) PollToken(webSocketID string, caller Caller) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	op := f.byWebSocketID[webSocketID]
	if op == nil || !f.mayPoll(op, caller) {
		return "", ErrUnknown
	}
	if op.token == (token{}) || !op.shares(caller) {
		_, _ = rand.Read(op.token[:]) // never fails
	}
	return op.token.String(), nil
}

// shares reports whether the token that op has is also the caller's, who may poll.
func (op *operation) shares(caller Caller) bool {
	if !op.owner.Anyone || op.knows(caller.PollToken) {
		return true
	}
	p := caller.Principal
	return op.registered() && !p.Anonymous() && op.at.principal != nil && op.at.principal.Name == p.Name
}
