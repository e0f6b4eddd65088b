package broker

import (
	"errors"
	"fmt"
	"strings"
)

// Reason is the reason why a session ended. Every session ends with exactly one
// reason. It is logged, counted in [Stats] and passed to observers, and it
// determines the WebSocket close code and whether an ERROR frame is sent first.
type Reason uint8

// The reasons. Each comment begins with the close code.
const (
	ReasonNone             Reason = iota
	ReasonDisconnect              // 1000: the client sent DISCONNECT or a normal close frame
	ReasonConnectionLost          // none: the connection ended without a goodbye
	ReasonProtocolError           // 1002: a frame that STOMP or RFC 6455 does not allow
	ReasonInvalidText             // 1007: a text message that is not UTF-8
	ReasonTooBig                  // 1009: a frame, header block or message over its size limit
	ReasonRefused                 // 1008: the credential was rejected
	ReasonConnectTimeout          // 1008: no CONNECT, or no decision about the CONNECT, within the deadline
	ReasonDenied                  // 4403: the rules do not allow the destination
	ReasonLimit                   // 4429: a count, a quota or a full queue
	ReasonHeartBeatTimeout        // 1002: silent for three intervals, or no STOMP for HeartBeatPatience
	ReasonSlowConsumer            // 4500: the client did not read its messages
	ReasonExpired                 // 1008: its credential expired and was not renewed
	ReasonRevoked                 // 1008: its user, session or credential was revoked
	ReasonKicked                  // 1008: an operator or the program ended it
	ReasonInternalError           // 1011: a hook or handler failed
	ReasonDraining                // 1012: the broker is shutting down; the client should reconnect
	ReasonAuthorizerSlow          // 1013: too many matches of its patterns wait for the Authorizer
	numReasons
)

var reasonNames = [numReasons]string{
	"none", "disconnect", "connection-lost", "protocol-error", "invalid-text", "too-big", "refused",
	"connect-timeout", "denied", "limit", "heart-beat-timeout", "slow-consumer",
	"expired", "revoked", "kicked", "internal-error", "draining", "authorizer-slow",
}

var reasonCodes = [numReasons]int{
	1005, 1000, 1006, 1002, 1007, 1009, 1008, 1008, 4403, 4429, 1002, 4500, 1008, 1008, 1008, 1011, 1012, 1013,
}

// String returns the name used in logs and metrics, such as "slow-consumer".
func (r Reason) String() string {
	if r >= numReasons {
		return "unknown"
	}
	return reasonNames[r]
}

// CloseCode returns the WebSocket close code (RFC 6455 section 7.4; 4000 and
// above are Hoofbeat's own). 1005 and 1006 are never sent.
func (r Reason) CloseCode() int {
	if r >= numReasons {
		return 1011
	}
	return reasonCodes[r]
}

// Error is a failure that is reported to the client. Message becomes the
// `message` header of the ERROR frame, so it must be one line and must not
// reveal anything confidential. Handlers and observers of a program may return
// an Error; for any other error the client receives a constant text.
type Error struct {
	Reason  Reason
	Message string
	// ClientCode is the close code that the client sent, 1005 if its close frame
	// had none, 0 if there was no close frame.
	ClientCode int
}

func (e *Error) Error() string { return e.Reason.String() + ": " + e.Message }

func failure(r Reason, format string, args ...any) *Error {
	return &Error{Reason: r, Message: fmt.Sprintf(format, args...)}
}

// refusedByStore returns the error for the client about a message that could
// not be stored.
func refusedByStore(err error) *Error {
	var public *Error
	switch {
	case errors.As(err, &public):
		return public
	case errors.Is(err, ErrNotHeld):
		return failure(ReasonInternalError, "%s", strings.TrimPrefix(err.Error(), "broker: "))
	case errors.Is(err, ErrDestination):
		return failure(ReasonProtocolError, "%s", strings.TrimPrefix(err.Error(), ErrDestination.Error()+": "))
	}
	return &Error{Reason: ReasonInternalError, Message: "what was sent could not be stored"}
}

// Errors of the broker's methods.
var (
	// ErrClosed is returned by every call after Close.
	ErrClosed = errors.New("broker: closed")
	// ErrDraining is returned for new sessions after Drain was called.
	ErrDraining = errors.New("broker: draining")
	// ErrNoSession is returned when no connected session has the given id.
	ErrNoSession = errors.New("broker: no such session")
	// ErrDestination is returned by Publish and the related methods for a
	// destination that is malformed or cannot be published to; the text
	// contains the cause.
	ErrDestination = errors.New("broker: destination")
	// ErrQueueFull is returned by Publish when a queue has reached its limit;
	// nothing was stored.
	ErrQueueFull = errors.New("broker: queue full")
	// ErrNUL is returned by Publish and the related methods for a body with a
	// NUL byte if Options.Limits.NUL is NULRefuse; nothing was sent.
	ErrNUL = errors.New("broker: a body with a NUL byte is refused (limits.nul: refuse)")
	// ErrHeader is returned by Publish and the related methods for a header
	// whose value is wrong, or that asks for something that the destination does
	// not give; the text names it.
	ErrHeader = errors.New("broker: header")
	// ErrLimit is returned by Publish for a message that would exceed a limit
	// other than those of its queue; the text contains the key of the limit.
	ErrLimit = errors.New("broker: limit")
	// ErrDuplicate is returned by Publish for a message whose message-dedup-id
	// was published to the same destination before: nothing is left to do.
	ErrDuplicate = errors.New("broker: duplicate: a message with this message-dedup-id was accepted before")
	// ErrSlowConsumer ends an in-process subscription when more messages wait
	// for its function than its buffer holds.
	ErrSlowConsumer = errors.New("broker: slow consumer")
)

// refusal is an error of a kind that programs can match, with the text that a
// client gets.
type refusal struct {
	kind   error
	public *Error
}

func (r *refusal) Error() string   { return r.kind.Error() + ": " + r.public.Message }
func (r *refusal) Unwrap() []error { return []error{r.kind, r.public} }
