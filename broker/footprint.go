package broker

import (
	"unsafe"

	"github.com/hoofbeat/hoofbeat/topics"
)

// Memory for a selector besides its text: the entries by which it is found and
// counted, and its compiled form.
const (
	selectorBase  = 192 + distinctBytes
	selectorToken = 32
)

// footprintUnit keeps [session.footprint] within 32 bits for 64 GiB.
const footprintUnit = 16

// footprint returns an upper estimate of the memory for a subscription, in
// units of 16 bytes. It is computed again when the subscription ends, because
// most subscriptions have no room to store it.
func footprint(id string, d topics.Destination, selector string, role presenceRole) uint32 {
	n := int(unsafe.Sizeof(subscriber{})) + len(id) + cost(d) + role.cost(d)
	if selector != "" {
		n += selectorBase + 2*len(selector) + selectorToken*tokens(selector)
	}
	return uint32((n + footprintUnit - 1) / footprintUnit)
}

func (sub *subscriber) footprint() uint32 {
	expression := ""
	if sub.selector != nil {
		expression = sub.selector.expression
	}
	return footprint(sub.ID, sub.dest, expression, sub.present)
}

// roomFor refuses a subscription with which the session's subscriptions would
// be too many or too large.
func (s *session) roomFor(id string, d topics.Destination, selector string, role presenceRole) *Error {
	l := s.b.policy.Load().limits
	if len(s.subs) >= l.Subscriptions {
		return failure(ReasonLimit, "more than %d subscriptions (limits.subscriptions)", l.Subscriptions)
	}
	if (int(s.footprint)+int(footprint(id, d, selector, role)))*footprintUnit > l.SubscriptionBytes {
		return failure(ReasonLimit, "more than %d bytes in subscriptions (limits.subscription_bytes)", l.SubscriptionBytes)
	}
	return nil
}

// tokens counts the words, quoted texts and other non-blank characters. In any
// selector language, the compiled form has at most one part for each.
func tokens(expression string) int {
	n := 0
	var quote byte
	word := false
	for i := 0; i < len(expression); i++ {
		c := expression[i]
		switch {
		case quote != 0:
			if c == '\\' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote, word = c, false
			n++
		case c >= 0x80, c == '_', '0' <= c && c <= '9', 'a' <= c|0x20 && c|0x20 <= 'z':
			if !word {
				n++
			}
			word = true
		default:
			word = false
			if c > ' ' {
				n++
			}
		}
	}
	return n
}

// cost returns the memory, in bytes, that the broker holds for a subscribed
// destination.
func cost(d topics.Destination) int {
	if d.Kind == topics.Reply {
		return d.Cost() + replyBytes
	}
	if d.Slow() {
		return d.Cost() + distinctBytes
	}
	return d.Cost()
}
