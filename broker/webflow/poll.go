package webflow

import (
	"context"

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
// caller's, ErrTooOften if the owner polls this broker more often than
// Options.PollInterval allows, ErrUnavailable, ErrClosed, or that of ctx.
func (f *Flow) Result(ctx context.Context, webSocketID string, caller Caller) (State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ctx, done := f.bounded(ctx)
	defer done()
	op, err := f.lookUpWebSocketID(ctx, webSocketID)
	if err == nil {
		err = f.check(ctx, op, func(now *Record) bool { return f.mayPoll(now, caller) })
	}
	if err != nil {
		return State{}, err
	}
	now := f.now()
	if last := f.polled[op]; last != 0 && now-last < int64(f.o.PollInterval) {
		return State{}, ErrTooOften
	}
	f.polled[op] = now
	return State{op.rec.WebSocketID, op.rec.Result, op.rec.Terminal}, nil
}

func (f *Flow) mayPoll(r *Record, caller Caller) bool {
	return r.knows(caller.PollToken) || caller.Principal != nil && f.mayRegister(r, caller.Principal, "", "")
}

// holdsToken reports whether a poll token is the operation's, as far as this
// node knows.
func (f *Flow) holdsToken(webSocketID, token string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	op := f.byWebSocketID.get(webSocketID)
	return op != nil && op.rec.knows(token)
}

// PollToken returns a token with which the caller may poll the operation until
// it ends or a session registers it. A page without a WebSocket exchanges its
// ticket for it. If the operation has a specific owner, every caller that may
// poll, and the registered session, share one token. If its owner is Anyone,
// each new caller gets a new token, which invalidates the previous one.
//
// The error is ErrUnknown if the operation does not exist or is not the
// caller's, ErrUnavailable, ErrClosed, or that of ctx.
func (f *Flow) PollToken(ctx context.Context, webSocketID string, caller Caller) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ctx, done := f.bounded(ctx)
	defer done()
	op, err := f.lookUpWebSocketID(ctx, webSocketID)
	if err != nil {
		return "", err
	}
	var token string
	_, err = f.change(ctx, op, func(now *Record) (*Record, error) {
		if !f.mayPoll(now, caller) {
			return nil, ErrUnknown
		}
		next := op.copy()
		if now.PollToken == [16]byte{} || !now.shares(caller) {
			next.newPollToken()
		}
		token = next.pollToken()
		return next, nil
	})
	return token, err
}

// shares reports whether the current token may be given to a caller that may
// poll.
func (r *Record) shares(caller Caller) bool {
	if !r.Owner.Anyone || r.knows(caller.PollToken) {
		return true
	}
	p := caller.Principal
	return r.registered() && !p.Anonymous() && r.User == p.Name
}
