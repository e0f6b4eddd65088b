package webflow

import (
	"crypto/rand"

	"github.com/hoofbeat/hoofbeat/auth"
)

// Caller identifies the client that polls.
type Caller struct {
	// Principal is the caller's identity, subject to the same rules as a
	// registration. Nil: the caller is unknown and needs the token.
	Principal *auth.Principal
	// PollToken is the `poll-token` header of the reply to the latest
	// registration of the operation, or the result of [Flow.PollToken].
	PollToken string
}

// State is the answer to a poll.
type State struct {
	WebSocketID string
	Result      string // latest result, "" while there is none
	Terminal    bool   // Result is final
}

// Result returns the latest result of an operation, for pages that cannot open
// a WebSocket. Polling does not count as delivery: the registered session still
// gets the result.
//
// The error is ErrUnknown if the operation does not exist or is not the
// caller's, and ErrTooOften if the owner polls more often than
// Options.PollInterval allows.
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

// holdsToken reports whether a poll token is the operation's.
func (f *Flow) holdsToken(webSocketID, token string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	op := f.byWebSocketID[webSocketID]
	return op != nil && op.knows(token)
}

// PollToken returns a token with which the caller may poll the operation until
// it ends or a session registers it. A page without a WebSocket exchanges its
// ticket for it. If the operation has a specific owner, every caller that may
// poll, and the registered session, share one token. If its owner is Anyone,
// each new caller gets a new token, which invalidates the previous one.
//
// The error is ErrUnknown if the operation does not exist or is not the
// caller's.
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

// shares reports whether the current token of op may be given to a caller that
// may poll.
func (op *operation) shares(caller Caller) bool {
	if !op.owner.Anyone || op.knows(caller.PollToken) {
		return true
	}
	p := caller.Principal
	return op.registered() && !p.Anonymous() && op.at.principal != nil && op.at.principal.Name == p.Name
}
