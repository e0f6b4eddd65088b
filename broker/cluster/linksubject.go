package cluster

import (
	"strings"

	"github.com/hoofbeat/hoofbeat/topics"
)

// longestSubject bounds the encoded part of a subject. Servers refuse lines over
// 4 KiB, and others may be configured to take less.
const longestSubject = 512

// subjects makes the subjects of one prefix. The publisher of a message uses
// exactly the subject of its destination, and an interest covers at least the
// subjects of what it matches. So whatever is in a name, a wrong guess costs
// traffic and never a message: the receiver decides by the destination in the
// envelope.
type subjects struct{ prefix string }

// all is where every node listens.
func (s subjects) all() string { return s.prefix + ".all" }

// node is where one node listens.
func (s subjects) node(id string) string { return s.prefix + ".n." + id }

// topics begins the subjects of all destinations that have their own.
func (s subjects) topics() string { return s.prefix + ".t" }

// long is the one subject of all destinations that have none of their own: they
// are too long, or have empty segments. Every pattern covers it.
func (s subjects) long() string { return s.prefix + ".tl" }

// publish returns the subject of a message to a destination.
func (s subjects) publish(destination string) string {
	subject, whole := s.encode(destination, false)
	if !whole {
		return s.long()
	}
	return subject
}

// interest returns the subjects that together cover a destination or pattern.
func (s subjects) interest(destination string) []string {
	if !topics.IsPattern(destination) {
		return []string{s.publish(destination)}
	}
	subject, whole := s.encode(destination, true)
	if whole {
		return []string{subject, s.long()}
	}
	return []string{subject, subject + ".>", s.long()} // `**` also matches nothing
}

// encode returns the segments of a destination as tokens. A pattern ignores its
// empty segments. It is not whole if it ends early: before the first ** of a
// pattern, before an empty segment of a literal, or where it would be too long.
func (s subjects) encode(destination string, pattern bool) (subject string, whole bool) {
	b := make([]byte, 0, len(s.prefix)+len(destination)+16)
	b = append(append(b, s.prefix...), ".t"...)
	start := len(b)
	for segment := range strings.SplitSeq(destination, "/") {
		before := len(b)
		switch {
		case segment == "" && (pattern || len(b) == start):
			continue
		case segment == "": // a * of a pattern matches it, and a token cannot be empty
			return string(b), false
		case pattern && segment == "**":
			return string(b), false
		case pattern && strings.ContainsAny(segment, "*?"):
			b = append(b, ".*"...)
		default:
			b = appendToken(append(b, '.'), segment)
		}
		if len(b)-start > longestSubject {
			return string(b[:before]), false
		}
	}
	return string(b), true
}

// appendToken encodes a segment: all but letters, digits, _ and - becomes =XX,
// so no segment is a wildcard or ends a token.
func appendToken(b []byte, segment string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(segment) {
		switch c := segment[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
			b = append(b, c)
		default:
			b = append(b, '=', digits[c>>4], digits[c&15])
		}
	}
	return b
}
