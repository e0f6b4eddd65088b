package topics

import (
	"iter"
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

// userTables find the subscribers of private destinations.
type userTables[S comparable] struct {
	private table[S]      // subscribers, by session and path
	users   table[string] // sessions, by user
}

// MatchSession returns the session's own subscribers of a private destination.
// path is the [Destination]'s Path, such as "/queue/x". The result is a
// snapshot: do not write to it. MatchSession does not allocate.
func (r *Router[S]) MatchSession(session, path string) []S {
	list, _ := r.private.get(key{session, path})
	return list
}

// Join registers a session of a user. It does nothing if user is empty or the
// session is already registered.
func (r *Router[S]) Join(user, session string) {
	if user != "" {
		r.users.addOnce(key{name: user}, session)
	}
}

// Leave removes a session from a user. It does nothing if the session is not
// registered.
func (r *Router[S]) Leave(user, session string) {
	r.users.remove(key{name: user}, session)
}

// Sessions returns the sessions of a user, nil if there are none. The result is
// a snapshot: do not write to it. Sessions does not allocate.
func (r *Router[S]) Sessions(user string) []string {
	list, _ := r.users.get(key{name: user})
	return list
}

// Users yields each user that has a session, with the number of sessions, in no
// particular order. The body may use the Router; changes made during the
// iteration may or may not be visible.
func (r *Router[S]) Users() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for k, n := range r.users.counts() {
			if !yield(k.name, n) {
				return
			}
		}
	}
}
