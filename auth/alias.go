package auth

import (
	"strings"

	"github.com/hoofbeat/hoofbeat/auth/internal/pattern"
)

// ownName is the result of ownTwin for the destination of a SUBSCRIBE.
type ownName struct {
	// twin is the other name of the same subscription, or "" if there is none.
	twin string
	// private reports whether the destination belongs to the session and is
	// neither a topic nor a queue, such as /user/events.
	private bool
}

// ownTwin interprets the destination of a SUBSCRIBE as a broker does. The
// principal's own /user/queue/x has the twin /user/{user}/queue/x, and vice
// versa; /user/events has the twin /user/{user}/events. There is no twin for an
// anonymous principal or for another user's destination, such as
// /user/bob/queue/x.
func (s *space) ownTwin(p *Principal, destination string) (own ownName) {
	rest, ok := cutPrefix(destination, s.user)
	if !ok || rest == "" {
		return own
	}
	if _, shared := s.cutShared(rest); !shared {
		head, tail := pattern.Cut(rest)
		switch _, named := s.cutShared(tail); {
		case !named:
			own.private = true
		case !p.Anonymous() && pattern.EqualEscaped(head, p.Name):
			return ownName{twin: s.user + tail}
		default:
			return own
		}
	}
	if !p.Anonymous() {
		own.twin = s.user + "/" + pattern.Escape(p.Name) + rest
	}
	return own
}

// handlerPattern returns the pattern of the handlers that a SEND to the
// session's own destinations in p reaches: /app/x for /user/queue/x. It returns
// nil if the rule names no such destination, or names all of them.
func (s *space) handlerPattern(p *pattern.Pattern) *pattern.Pattern {
	rest, ok := cutPrefix(p.Prefix, s.user)
	if !ok {
		return nil
	}
	if path, ok := s.cutShared(rest); ok && path != "" {
		return &pattern.Pattern{Prefix: s.app[0] + path, Rest: p.Rest}
	}
	return nil
}

// writeUser rewrites a user's name in a rule with the broker's escapes, %2F and
// %25. It returns a problem if the name has other escapes: such a name would
// never match, and a Deny rule that never matches denies nothing.
func writeUser(s *pattern.Segment) (problem string) {
	if s.Kind != pattern.Literal && s.Kind != pattern.Glob {
		return ""
	}
	var b strings.Builder
	for text := s.Text; ; {
		plain, rest, found := strings.Cut(text, "%")
		b.WriteString(plain)
		if !found {
			s.Text = b.String()
			return ""
		}
		switch {
		case strings.HasPrefix(rest, "2F"), strings.HasPrefix(rest, "2f"):
			b.WriteString("%2F")
			rest = rest[2:]
		case strings.HasPrefix(rest, "25"):
			b.WriteString("%25")
			rest = rest[2:]
		case strings.ContainsAny(rest[:min(2, len(rest))], "*?"):
			b.WriteByte('%')
		default:
			return "in a user's name, write / as %2F and % as %25; other escapes are not supported"
		}
		text = rest
	}
}
