package broker

import (
	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/frames"
)

// Header is one header of a message or frame.
type Header = frames.Header

// Message is one message as a program publishes or receives it. A received
// Message is shared with other receivers and must not be changed.
type Message struct {
	// Destination is the destination that the message was sent to: /topic/…,
	// /queue/… or a user destination.
	Destination string
	// Headers are the application's headers, including content-type. Protocol
	// headers (see [Reserved]) are omitted when sending. A message that a
	// program receives from a topic with a [History] also has the headers
	// `offset` and `x-stream-offset`.
	Headers []Header
	Body    []byte

	// ID is the message-id, the same for every receiver. Publish generates one
	// if it is empty. Treat it as opaque.
	ID string
	// Redelivered is set if a queue message was delivered before. A program
	// that repeats a message to a user or session sets it itself; Publish
	// ignores it.
	Redelivered bool

	// Settled, if set on a message to a user or session, is called once for
	// each subscription with `ack:client` or `ack:client-individual` that the
	// message was delivered to, when the client has acknowledged it, refused
	// it, or is gone. It runs on a goroutine of the broker and must not block. The
	// session is "" if it was on another broker that is no longer live. A
	// subscription whose session already has Limits.Unacknowledged
	// unacknowledged deliveries is skipped and not counted in the Delivery.
	Settled func(session string, outcome Outcome)
}

// Outcome is the result of a delivery that the client had to acknowledge.
type Outcome uint8

// The outcomes.
const (
	Acknowledged Outcome = iota + 1 // the client sent ACK
	Refused                         // the client sent NACK
	Lost                            // the subscription or the session ended first
)

// String returns "acknowledged", "refused" or "lost".
func (o Outcome) String() string {
	switch o {
	case Acknowledged:
		return "acknowledged"
	case Refused:
		return "refused"
	case Lost:
		return "lost"
	}
	return "unknown"
}

// Header returns the value of the first header with that name, or "".
func (m *Message) Header(name string) string {
	for i := range m.Headers {
		if m.Headers[i].Name == name {
			return m.Headers[i].Value
		}
	}
	return ""
}

// Delivery reports how many subscriptions a published message reached.
type Delivery struct {
	// Subscriptions is the number of subscriptions that the message was
	// delivered to.
	Subscriptions int
	// Unacknowledged is the number of those that must acknowledge it;
	// Message.Settled, if set, is called once for each.
	Unacknowledged int
}

// Reserved reports whether a header belongs to the protocol: the broker drops
// or overwrites it and never forwards a client's value (STOMP 1.2, "SEND": all
// other user-defined headers must be carried through).
//
// White space around a name is ignored: most browser libraries trim the names
// of received headers, so they treat " subscription" as the protocol header.
func Reserved(name string) bool { return encode.Reserved(name) }

// jsonHeaders are the headers of the broker's own messages.
var jsonHeaders = []frames.Header{{Name: frames.HeaderContentType, Value: "application/json"}}
