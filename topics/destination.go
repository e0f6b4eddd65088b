package topics

import (
	"strings"
	"unicode/utf8"
)

// Kind is the kind of a destination. It decides who may see the messages.
type Kind uint8

// The kinds of destination. The zero Kind belongs to no destination.
const (
	// Topic is /topic/**: every subscriber gets every message.
	Topic Kind = iota + 1
	// Queue is /queue/**: each message goes to one consumer, or to all if
	// queues are broadcast.
	Queue
	// App is /app/**: messages go to a handler in the program, as with Spring's
	// @MessageMapping.
	App
	// UserPrivate is /user/topic/x or /user/queue/x, and in a SUBSCRIBE any
	// other /user/x. It belongs to the session that uses it.
	UserPrivate
	// UserNamed is /user/{name}/x: all sessions of that user.
	UserNamed
	// Reply is where one session gets answers: /temp-queue/{name} in its
	// SUBSCRIBE, and in the destination of an answer /reply-queue/ and what the
	// broker made of the name. It is never a pattern.
	Reply
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
	case Reply:
		return "reply"
	default:
		return "none"
	}
}

// Destination is a parsed destination header. It is a value that can be copied
// and compared; its strings share the memory of the parsed string.
type Destination struct {
	// Kind decides how the destination is routed.
	Kind Kind
	// Name is the destination exactly as the client wrote it. MESSAGE frames
	// repeat it.
	Name string
	// Path is the part that is used for routing, never empty: for a topic or
	// queue the Name; for a user destination the part after the user,
	// "/queue/x"; for an application destination the part after /app, or "/" if
	// there is none.
	Path string
	// User is the decoded user name of a UserNamed destination, otherwise
	// empty.
	User string
	// Pattern reports that Path contains ? or *. It applies only to a SUBSCRIBE
	// to a topic or queue. A SEND takes these characters literally, and so do
	// private destinations; a broker therefore refuses a SUBSCRIBE to a user or
	// application destination with Pattern set. A user name is never a pattern,
	// whatever it contains.
	Pattern bool
}

// Parse parses the destination of a message, with the [DefaultPrefixes]. The
// segment after /user/ is a user name unless it is exactly "topic" or "queue";
// in a name, %2F stands for a slash and %25 for a percent sign, see
// [EscapeUser]. Parse corresponds to Spring's DefaultUserDestinationResolver,
// which decodes %2F only and so cannot tell the users "a/b" and "a%2Fb" apart.
// For other prefixes, or the destination of a SUBSCRIBE, use [Names].
//
// It returns an [Error], which clients may see, for: an unknown prefix, nothing
// after the prefix, a control character, invalid UTF-8, more than MaxLength
// bytes or MaxLevels separators, a segment that has a ? and more than MaxMasked
// characters, and any other percent escape in a user name.
func Parse(name string) (Destination, error) { return standard.Parse(name) }

// Clone returns a copy of d in its own memory. Use it to keep d longer than the
// string it was parsed from: a header, for example, keeps all headers of its
// frame in memory.
func (d Destination) Clone() Destination {
	d.Name = strings.Clone(d.Name)
	d.User = strings.Clone(d.User)
	if strings.HasSuffix(d.Name, d.Path) { // usually the end of Name
		d.Path = d.Name[len(d.Name)-len(d.Path):]
	} else {
		d.Path = strings.Clone(d.Path)
	}
	return d
}

// cut splits "/a/b/c" into "/a" and "/b/c". Without a leading separator, head
// is the text before the first one.
func cut(s string) (head, rest string) {
	if s == "" {
		return "", ""
	}
	if i := strings.IndexByte(s[1:], '/'); i >= 0 {
		return s[:i+1], s[i+1:]
	}
	return s, ""
}

// notEmpty returns ErrEmpty for a rest without any segment. Empty segments do
// not count, as in patterns.
func notEmpty(rest string) error {
	if strings.Trim(rest, "/") == "" {
		return ErrEmpty
	}
	return nil
}

// check applies the rules that all destinations and patterns share.
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
