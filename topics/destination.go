package topics

import (
	"strings"
	"unicode/utf8"
)

// Kind says what a destination is, and with it who may see what is sent there.
type Kind uint8

// The kinds of destination. The zero Kind belongs to no destination.
const (
	// Topic is /topic/**: every subscriber gets every message.
	Topic Kind = iota + 1
	// Queue is /queue/**: each message goes to one consumer, or to all where queues are broadcast.
	Queue
	// App is /app/**: messages go to a handler in the program, as to Spring's @MessageMapping.
	App
	// UserPrivate is /user/topic/x or /user/queue/x, and in a SUBSCRIBE any other /user/x: it belongs to the session
	// that names it.
	UserPrivate
	// UserNamed is /user/{name}/x: all sessions of that user.
	UserNamed
)

// String returns a short lower-case name for logs and statistics.
func (k Kind) String() string {
	switch k {
	case Topic:
		return "topic"
	case Queue:
		return "queue"
	case App:
		return "app"
	case UserPrivate:
		return "user-private"
	case UserNamed:
		return "user-named"
	default:
		return "none"
	}
}

// Destination is a destination header that [Parse] has read. It is a value and may be copied and compared; its
// strings share the memory of the parsed one.
type Destination struct {
	// Kind decides how the destination is routed.
	Kind Kind
	// Name is the destination exactly as the client wrote it: MESSAGE frames carry it back.
	Name string
	// Path is what to route by: for a topic or queue the Name; for a user destination the part behind the
	// user, "/queue/x"; for an application destination the part behind /app, "/" when there is none. Never
	// empty.
	Path string
	// User is the decoded name in a UserNamed destination, otherwise empty.
	User string
	// Pattern says that Path contains ? or *. It means something in a SUBSCRIBE to a topic or queue only:
	// a SEND takes the characters literally. Private destinations are matched literally too, so a broker
	// refuses a SUBSCRIBE to a user or application destination with Pattern set. A user's name is never a
	// pattern, whatever is in it.
	Pattern bool
}

// Parse reads the destination header of a message, with the [DefaultPrefixes]. The segment behind /user/ is a user's
// name unless it is literally "topic" or "queue"; in a name, %2F stands for a slash and %25 for a percent sign, see
// [EscapeUser]. It corresponds to Spring's DefaultUserDestinationResolver, which decodes %2F only and so cannot tell
// the users "a/b" and "a%2Fb" apart. Other prefixes, and the destination of a SUBSCRIBE, are for [Names].
//
// Refused with an [Error] that may be shown to the client: unknown prefixes, nothing behind the prefix, control
// characters, invalid UTF-8, more than MaxLength bytes or MaxLevels separators, a segment of more than MaxMasked
// characters with a ? among them, other percent escapes in a name.
func Parse(name string) (Destination, error) { return standard.Parse(name) }

// Clone returns d in memory of its own, for whoever keeps it longer than what it
// was parsed from: a header, for instance, keeps all headers of its frame alive.
func (d Destination) Clone() Destination {
	d.Name = strings.Clone(d.Name)
	d.User = strings.Clone(d.User)
	if strings.HasSuffix(d.Name, d.Path) { // it mostly is the end of the Name
		d.Path = d.Name[len(d.Name)-len(d.Path):]
	} else {
		d.Path = strings.Clone(d.Path)
	}
	return d
}

// cut splits "/a/b/c" into "/a" and "/b/c". Without a leading separator, head is what precedes the first one.
func cut(s string) (head, rest string) {
	if s == "" {
		return "", ""
	}
	if i := strings.IndexByte(s[1:], '/'); i >= 0 {
		return s[:i+1], s[i+1:]
	}
	return s, ""
}

// notEmpty refuses a rest without any segment: empty segments do not count in patterns either.
func notEmpty(rest string) error {
	if strings.Trim(rest, "/") == "" {
		return ErrEmpty
	}
	return nil
}

// check holds what is true of every destination and pattern.
func check(s string) error {
	if len(s) > MaxLength {
		return ErrTooLong
	}
	levels, ascii := 0, true
	for i := range len(s) {
		switch c := s[i]; {
		case c == '/':
			levels++
		case isControl(c):
			return ErrControl
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	if levels > MaxLevels {
		return ErrTooDeep
	}
	if !ascii && !utf8.ValidString(s) {
		return ErrEncoding
	}
	return nil
}

// isControl reports whether c is a C0 control character or DEL.
func isControl(c byte) bool { return c < 0x20 || c == 0x7f }
