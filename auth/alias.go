package auth

import "strings"

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
		head, tail := cut(rest)
		switch _, named := s.cutShared(tail); {
		case !named:
			own.private = true
		case !p.Anonymous() && equalEscaped(head, p.Name):
			return ownName{twin: s.user + tail}
		default:
			return own
		}
	}
	if !p.Anonymous() {
		own.twin = s.user + "/" + escaper.Replace(p.Name) + rest
	}
	return own
}

// handlerPattern returns the pattern of the handlers that a rule about SEND to a session's own destinations is about:
// /app/x of /user/queue/x. It returns nil if the rule names no such destination, or names all of them.
func (s *space) handlerPattern(p *pattern) *pattern {
	rest, ok := cutPrefix(p.prefix, s.user)
	if !ok {
		return nil
	}
	if path, ok := s.cutShared(rest); ok && path != "" {
		return &pattern{prefix: s.app[0] + path, rest: p.rest}
	}
	return nil
}

// writeUser writes a user's name in a rule as the broker does, %2F and %25, and returns a problem if it has other
// escapes: such a name would never be met, and a Deny rule that is never met denies nothing.
func (s *segment) writeUser() (problem string) {
	if s.kind != segLiteral && s.kind != segGlob {
		return ""
	}
	var b strings.Builder
	for text := s.text; ; {
		plain, rest, found := strings.Cut(text, "%")
		b.WriteString(plain)
		if !found {
			s.text = b.String()
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
