package auth

import (
	"strings"

	"github.com/hoofbeat/hoofbeat/auth/internal/pattern"
)

// ownName is what ownTwin finds out about the destination of a SUBSCRIBE.
type ownName struct {
	// twin is the other name of the same subscription, "" if there is none.
	twin string
	// private says that the destination is the session's own and neither a topic nor a queue: /user/events.
	private bool
}

// ownTwin reads a destination as a broker reads that of a SUBSCRIBE. The principal's own /user/queue/x is also
// /user/{user}/queue/x, and the other way round; /user/events is /user/{user}/events. Somebody without a name has
// no twin, and another user's destination, /user/bob/queue/x, is nobody's own.
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

// handlerPattern returns the pattern of the handlers that a rule about SEND to a session's own destinations is about:
// /app/x of /user/queue/x. It returns nil if the rule names no such destination, or names all of them.
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

// writeUser writes a user's name in a rule as the broker does, %2F and %25, and returns a problem if it has other
// escapes: such a name would never be met, and a Deny rule that is never met denies nothing.
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
			return "in a user's name / is written %2F and % is written %25, and there are no other escapes"
		}
		text = rest
	}
}
