// Package pattern parses and matches destinations with wildcards and variables,
// and proves which part of a pattern's destinations a list of other patterns
// allows.
package pattern

import (
	"strings"
	"unicode/utf8"
)

// Kind is how one segment of a pattern is compared with one segment of a
// destination.
type Kind uint8

const (
	Literal Kind = iota // text, byte by byte
	Glob                // text, with ? for one character and * for any number of them
	Any                 // any one segment: * and {name}
	Deep                // any number of segments, including none: **
	User                // the principal's name: {user}
	Claim               // the principal's claim with the name Text: {claim.NAME}
)

// Values provides the values of a pattern's variables.
type Values interface {
	// User returns the value of {user}, or "" if there is none.
	User() string
	// Claim returns the value of {claim.NAME}, if there is one.
	Claim(name string) (string, bool)
}

// Segment is one segment of a pattern. Kind defines the meaning of Text.
type Segment struct {
	Kind Kind
	Text string
}

// Pattern is a destination with wildcards, in two parts: a literal prefix, and
// the segments after it. For most patterns the prefix decides.
type Pattern struct {
	Prefix string
	Rest   []Segment
}

// New joins segments. It merges neighbouring **, which mean the same as one.
func New(segments []Segment) Pattern {
	var p Pattern
	for _, s := range segments {
		last := len(p.Rest) - 1
		switch {
		case last < 0 && s.Kind == Literal:
			p.Prefix += "/" + s.Text
		case last >= 0 && s.Kind == Deep && p.Rest[last].Kind == Deep:
		default:
			p.Rest = append(p.Rest, s)
		}
	}
	return p
}

// ParseSubscription parses the pattern of a SUBSCRIBE, which supports ?, * and
// ** but no variables: braces are literal characters. s must be well-formed.
func ParseSubscription(s string) Pattern {
	var segments []Segment
	for s != "" {
		var text string
		text, s = Cut(s)
		segments = append(segments, wildcard(text))
	}
	return New(segments)
}

func wildcard(text string) Segment {
	switch {
	case text == "**":
		return Segment{Kind: Deep}
	case strings.Trim(text, "*") == "":
		return Segment{Kind: Any}
	case IsPattern(text):
		return Segment{Kind: Glob, Text: text}
	default:
		return Segment{Kind: Literal, Text: text}
	}
}

// IsPattern reports whether s contains a wildcard.
func IsPattern(s string) bool { return strings.ContainsAny(s, "*?") }

// WellFormed reports whether s is a UTF-8 path without empty segments. Nothing
// else is ever allowed or matched, because an authorizer and a router might not
// agree whether //a is /a.
func WellFormed(s string) bool {
	if s == "" || s[0] != '/' || s[len(s)-1] == '/' {
		return false
	}
	return !strings.Contains(s, "//") && utf8.ValidString(s)
}

// Cut splits a well-formed path after its first segment, and drops that
// segment's slash.
func Cut(path string) (head, tail string) {
	path = path[1:]
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// Match reports whether the pattern matches the well-formed path for who. Its
// worst-case time is proportional to the product of both lengths, because a **
// that once let a later ** be reached is never tried again. It allocates
// nothing.
func (p *Pattern) Match(who Values, path string) bool {
	if !strings.HasPrefix(path, p.Prefix) {
		return false
	}
	path = path[len(p.Prefix):]
	if path != "" && path[0] != '/' {
		return false
	}
	at, deep, retry := 0, -1, ""
	for path != "" {
		if at < len(p.Rest) {
			if p.Rest[at].Kind == Deep {
				if at == len(p.Rest)-1 {
					return true
				}
				deep, retry = at, path
				at++
				continue
			}
			head, tail := Cut(path)
			if p.Rest[at].match(who, head) {
				at++
				path = tail
				continue
			}
		}
		if deep < 0 {
			return false
		}
		_, retry = Cut(retry)
		at, path = deep+1, retry
	}
	return at == len(p.Rest) || at == len(p.Rest)-1 && p.Rest[at].Kind == Deep
}

func (s *Segment) match(who Values, text string) bool {
	switch s.Kind {
	case Literal:
		return s.Text == text
	case Glob:
		return globMatch(s.Text, text)
	case Any:
		return true
	case User, Claim:
		value, ok := s.value(who)
		return ok && EqualEscaped(text, value)
	default:
		return false
	}
}

// value returns the value of a variable. It returns false for a missing, empty
// or non-UTF-8 value, which matches no segment.
func (s *Segment) value(who Values) (string, bool) {
	text, ok := who.User(), true
	if s.Kind == Claim {
		text, ok = who.Claim(s.Text)
	}
	return text, ok && text != "" && utf8.ValidString(text)
}

// globMatch matches one segment. It retries only the last *, which limits the
// time to the product of the lengths. A character is a Unicode code point.
func globMatch(glob, text string) bool {
	g, t, star, retry := 0, 0, -1, 0
	for t < len(text) {
		if g < len(glob) {
			switch {
			case glob[g] == '*':
				star, retry = g, t
				g++
				continue
			case glob[g] == '?':
				_, width := utf8.DecodeRuneInString(text[t:])
				t += width
				g++
				continue
			case glob[g] == text[t]:
				g++
				t++
				continue
			}
		}
		if star < 0 {
			return false
		}
		_, width := utf8.DecodeRuneInString(text[retry:])
		retry += width
		g, t = star+1, retry
	}
	return strings.Trim(glob[g:], "*") == ""
}

// Escape escapes a name as one segment of a destination.
func Escape(name string) string { return escaper.Replace(name) }

var escaper = strings.NewReplacer("%", "%25", "/", "%2F")

// EqualEscaped reports whether segment is Escape(value), without allocating
// that string.
func EqualEscaped(segment, value string) bool {
	for i := 0; i < len(value); i++ {
		c := value[i]
		var want string
		switch c {
		case '/':
			want = "%2F"
		case '%':
			want = "%25"
		default:
			if segment == "" || segment[0] != c {
				return false
			}
			segment = segment[1:]
			continue
		}
		var ok bool
		if segment, ok = strings.CutPrefix(segment, want); !ok {
			return false
		}
	}
	return segment == ""
}
