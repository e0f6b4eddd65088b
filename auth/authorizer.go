package auth

import (
	"context"
	"errors"
	"fmt"
)

// Action is what a client asks to do with a destination.
type Action uint8

const (
	// Subscribe is to receive what is sent to a destination: the SUBSCRIBE frame.
	Subscribe Action = iota + 1
	// Send is to send to a destination: the SEND frame.
	Send
)

// String returns "subscribe" or "send".
func (a Action) String() string {
	switch a {
	case Subscribe:
		return "subscribe"
	case Send:
		return "send"
	default:
		return fmt.Sprintf("Action(%d)", uint8(a))
	}
}

// ErrDenied says that a principal may not do what it asks. The client is told no more than this text.
var ErrDenied = errors.New("access to this destination is denied")

// Authorizer decides what a client may do; Spring Security's counterpart is AuthorizationManager<Message<?>>.
//
// Authorize returns nil if p may do act at destination. That is the canonical name: without empty segments, with %2F for
// a slash in a user's name, and /user/queue/x for what a client subscribes to as /user/{name}/queue/x. For a SEND to
// /user/queue/x it is asked about the handler, /app/x, as well, and for a SUBSCRIBE to the dead letters /queue/DLQ.x
// about /queue/x; every answer must be nil. [ErrDenied] and every other error, and a panic, are a no. It is called before the frame has had any effect, on the session's own
// goroutine, so what it waits for the session waits for; it must be safe for concurrent use.
type Authorizer interface {
	Authorize(ctx context.Context, p *Principal, act Action, destination string) error
}

// AuthorizerFunc is a function used as an [Authorizer].
type AuthorizerFunc func(ctx context.Context, p *Principal, act Action, destination string) error

// Authorize calls f.
func (f AuthorizerFunc) Authorize(ctx context.Context, p *Principal, act Action, destination string) error {
	return f(ctx, p, act, destination)
}

// Coverage says how much of what a pattern matches a principal may subscribe to.
type Coverage uint8

const (
	// None: nothing that the pattern matches. The SUBSCRIBE is refused at once.
	None Coverage = iota
	// Some: possibly a part. Each destination has to be authorized before a message from it is delivered.
	Some
	// All: everything, proven. Nothing has to be checked later.
	All
)

// String returns "none", "some" or "all".
func (c Coverage) String() string {
	switch c {
	case None:
		return "none"
	case Some:
		return "some"
	case All:
		return "all"
	default:
		return fmt.Sprintf("Coverage(%d)", uint8(c))
	}
}

// PatternAuthorizer is an [Authorizer] that can judge a SUBSCRIBE to an Ant pattern (?, * and **) as a whole. It is
// optional. For one that cannot, every pattern counts as [Some].
//
// AuthorizePattern must never answer [All] if a destination that the pattern matches would be refused, nor [None]
// if one would be allowed; when in doubt the answer is Some. An error refuses the SUBSCRIBE.
type PatternAuthorizer interface {
	Authorizer
	AuthorizePattern(ctx context.Context, p *Principal, pattern string) (Coverage, error)
}
