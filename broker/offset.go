package broker

import (
	"strconv"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/broker/internal/ring"
	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// beginning is what a SUBSCRIBE asks of a history.
type beginning struct {
	start ring.Start
	epoch string    // for ring.After; "" if the client did not name one, as in RabbitMQ's form
	time  time.Time // for ring.Since
}

// beginning reads the headers of a SUBSCRIBE: `offset`, else RabbitMQ's
// `x-stream-offset`, else ActiveMQ's `activemq.retroactive`. It returns nil if
// there is none. Handlers get the headers as they are.
func (s *session) beginning(f *frames.Frame, d topics.Destination) (*beginning, *Error) {
	if d.Kind == topics.App {
		return nil, nil
	}
	if text, ok := f.Lookup(encode.HeaderOffset); ok {
		if at := parseOffset(text); at != nil {
			return at, nil
		}
		return nil, failure(ReasonProtocolError, "offset header: %s is none of %s", quoted(text), offsetForms)
	}
	if text, ok := f.Lookup(encode.HeaderStreamOffset); ok {
		if at := parseStreamOffset(text); at != nil {
			return at, nil
		}
		return nil, failure(ReasonProtocolError, "x-stream-offset header: %s is none of first, last, next, offset=<n> and timestamp=<seconds>", quoted(text))
	}
	switch text, ok := f.Lookup(headerRetroactive); {
	case !ok || text == "false":
		return nil, nil
	case text == "true":
		return &beginning{start: ring.Start{From: ring.First}}, nil
	default:
		return nil, failure(ReasonProtocolError, "activemq.retroactive header: %s is neither true nor false", quoted(text))
	}
}

// offsetForms are the forms of the offset header.
const offsetForms = "first, last, next, -<n>, <epoch>:<n> and a time such as 2026-01-31T15:04:05Z"

// quoted returns a header's value for an error, shortened.
func quoted(text string) string { return strconv.QuoteToASCII(oneLine(text, 64)) }

func named(text string) *beginning {
	switch text {
	case "first":
		return &beginning{start: ring.Start{From: ring.First}}
	case "last":
		return &beginning{start: ring.Start{From: ring.Latest}}
	case "next":
		return &beginning{start: ring.Start{From: ring.Next}}
	}
	return nil
}

func parseOffset(text string) *beginning {
	if at := named(text); at != nil {
		return at
	}
	if back, ok := strings.CutPrefix(text, "-"); ok {
		if n, ok := number(back); ok {
			return &beginning{start: ring.Start{From: ring.Back, Number: n}}
		}
		return nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return &beginning{start: ring.Start{From: ring.Since}, time: t}
	}
	epoch, after, ok := strings.Cut(text, ":")
	n, digits := number(after)
	if !ok || !digits || epoch == "" || len(epoch) > 32 || strings.Trim(epoch, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return nil
	}
	return &beginning{start: ring.Start{From: ring.After, Number: n}, epoch: epoch}
}

func parseStreamOffset(text string) *beginning {
	if at := named(text); at != nil {
		return at
	}
	name, value, _ := strings.Cut(text, "=")
	n, ok := number(value)
	switch {
	case ok && name == "offset": // in RabbitMQ the message with this number is the first
		return &beginning{start: ring.Start{From: ring.After, Number: max(n, 1) - 1}}
	case ok && name == "timestamp" && n < 1<<40:
		return &beginning{start: ring.Start{From: ring.Since}, time: time.Unix(int64(n), 0)}
	}
	return nil
}

// number parses a number without a sign.
func number(text string) (uint64, bool) {
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil && text[0] != '+'
}
