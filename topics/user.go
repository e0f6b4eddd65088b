package topics

import (
	"strings"
	"unicode/utf8"
)

// EscapeUser writes a user's name as one segment of a destination: "/" becomes %2F and "%" becomes %25, so that
// no two names meet. Spring's SimpMessagingTemplate escapes the slash only and refuses names with "%2F" in them.
func EscapeUser(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "%", "%25"), "/", "%2F")
}

// UserDestination returns the destination under which the user's path is addressed: UserDestination("a/b",
// "/queue/x") is "/user/a%2Fb/queue/x". Where user passes [ValidUser] and path is a topic or queue, [Parse] gives
// both back, unless the whole exceeds a limit.
func UserDestination(user, path string) string {
	return "/user/" + EscapeUser(user) + path
}

// ValidUser says whether a name can be a user's: not empty, UTF-8, at most MaxUser bytes, without control
// characters (CR, LF and NUL would break a header), and neither "topic" nor "queue", which behind /user/ mean
// the session's own destinations. The error is an [Error].
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

// unescapeUser undoes EscapeUser. It refuses every other escape instead of passing it on: were "%41" taken as it
// stands, a proxy or a client that decodes it would mean another user.
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
