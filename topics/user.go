package topics

import (
	"strings"
	"unicode/utf8"
)

// EscapeUser encodes a user name as one segment of a destination: "/" becomes
// %2F and "%" becomes %25, so that different names stay different. Spring's
// SimpMessagingTemplate escapes only the slash and refuses names that contain
// "%2F".
func EscapeUser(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "%", "%25"), "/", "%2F")
}

// UserDestination returns the destination that addresses a path of a user:
// UserDestination("a/b", "/queue/x") is "/user/a%2Fb/queue/x". If user passes
// [ValidUser] and path is a topic or queue, [Parse] returns both, unless the
// result exceeds a limit.
func UserDestination(user, path string) string {
	return "/user/" + EscapeUser(user) + path
}

// ValidUser reports whether name can be a user name: not empty, UTF-8, at most
// MaxUser bytes, no control characters (CR, LF and NUL would break a header),
// and neither "topic" nor "queue", which after /user/ denote the session's own
// destinations. The error is an [Error].
func ValidUser(name string) error {
	switch {
	case name == "":
		return ErrUserEmpty
	case len(name) > MaxUser:
		return ErrUserTooLong
	case strings.ContainsFunc(name, func(r rune) bool { return r < utf8.RuneSelf && isControl(byte(r)) }):
		return ErrUserControl
	case !utf8.ValidString(name):
		return ErrUserEncoding
	case name == "topic" || name == "queue":
		return ErrUserReserved
	default:
		return nil
	}
}

// unescapeUser reverses EscapeUser. It refuses every other escape: if it kept
// "%41" as it is, a proxy or client that decodes it would mean a different
// user.
func unescapeUser(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	var b strings.Builder
	b.Grow(len(s))
	for {
		plain, rest, found := strings.Cut(s, "%")
		b.WriteString(plain)
		if !found {
			return b.String(), nil
		}
		switch {
		case strings.HasPrefix(rest, "2F"), strings.HasPrefix(rest, "2f"):
			b.WriteByte('/')
		case strings.HasPrefix(rest, "25"):
			b.WriteByte('%')
		default:
			return "", ErrUserEscape
		}
		s = rest[2:]
	}
}
