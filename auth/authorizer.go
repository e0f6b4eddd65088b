package auth

import (
	"context"
	"errors"
	"fmt"
)

// Action is an operation that a client requests on a destination.
type Action uint8

const (
	// Subscribe is the SUBSCRIBE frame: receive the messages sent to a
	// destination.
	Subscribe Action = iota + 1
	// Send is the SEND frame: send to a destination.
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

// ErrDenied reports that the principal lacks permission. The client gets only
// this text.
var ErrDenied = errors.New("access to this destination is denied")

// Authorizer decides what a client may do. Spring Security's counterpart is
// AuthorizationManager<Message<?>>.
//
// Authorize returns nil if p may do act at destination. [ErrDenied], any other
// error, or a panic denies it. The destination is canonical: it has no empty
// segments, a slash in a user's name is written as %2F, and a client's own
// /user/{name}/queue/x is /user/queue/x.
//
// Some frames need several permissions; every answer must be nil. For a SEND to
// /user/queue/x the broker also asks about the handler, /app/x. For a SUBSCRIBE
// to the dead letters /queue/DLQ.x it also asks about /queue/x.
//
// The broker calls Authorize before the frame takes effect, on the session's
// own goroutine, so a slow answer delays that session. Authorize must be safe
// for concurrent use.
type Authorizer interface {
	Authorize(ctx context.Context, p *Principal, act Action, destination string) error
}

// AuthorizerFunc adapts a function to an [Authorizer].
type AuthorizerFunc func(ctx context.Context, p *Principal, act Action, destination string) error

// Authorize calls f.
func (f AuthorizerFunc) Authorize(ctx context.Context, p *Principal, act Action, destination string) error {
	return f(ctx, p, act, destination)
}

// NonBlocking is an [Authorizer] that decides from memory, as [Rules] does:
// none of its methods, including AuthorizePattern, ever waits for a file, the
// network, or a lock that is held long. It is optional.
//
// The broker calls any other Authorizer as code that may block: it first writes
// all pending frames, and it does not disconnect the session for silence
// meanwhile. It calls a NonBlocking one directly, so one that blocks delays
// frames to other sessions too. The context of a call for a frame then ends with the
// broker instead of the session. Everything else is as for an Authorizer: calls
// are concurrent, also for one session, and a panic denies.
//
// A type that embeds a NonBlocking one has its method NonBlocking too. Name the
// field instead if a method of the outer type may block.
type NonBlocking interface {
	Authorizer
	// NonBlocking does nothing.
	NonBlocking()
}

// Coverage is the part of a pattern's destinations that a principal may
// subscribe to.
type Coverage uint8

const (
	// None means no destination that the pattern matches. The SUBSCRIBE is
	// denied at once.
	None Coverage = iota
	// Some means possibly a part. Each destination must be authorized before
	// one of its messages is delivered.
	Some
	// All means every destination, proven. No later check is needed.
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

// PatternAuthorizer is an [Authorizer] that can judge a SUBSCRIBE to an Ant
// pattern (?, * and **) as a whole. It is optional: without it, every pattern
// counts as [Some].
//
// AuthorizePattern must not answer [All] if any destination that the pattern
// matches would be denied, or [None] if any would be allowed. When in doubt,
// answer Some. An error denies the SUBSCRIBE.
type PatternAuthorizer interface {
	Authorizer
	AuthorizePattern(ctx context.Context, p *Principal, pattern string) (Coverage, error)
}
