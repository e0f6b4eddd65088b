// Package pattern is about destinations with wildcards and variables: reading them,
// matching them, and proving which share of what one of them matches a list of
// others allows.
package pattern

import (
	"strings"
	"unicode/utf8"
)

// Kind is how one segment of a pattern is compared with one segment of a destination.
type Kind uint8

const (
	Literal Kind = iota // text, byte by byte
	Glob                // text, with ? for one character and * for any number of them
	Any                 // one segment, whatever it says: * and {name}
	Deep                // any number of segments, none included: **
	User                // the principal's name: {user}
	Claim               // the principal's claim called Text: {claim.NAME}
)

// Values are what the variables of a pattern stand for.
type Values interface {
	// User returns the name that {user} stands for, "" for nothing.
	User() string
	// Claim returns the text that {claim.NAME} stands for, if there is one.
	Claim(name string) (string, bool)
}

// Segment is one segment of a pattern. Text has a meaning as its Kind says.
type Segment struct {
	Kind Kind
	Text string
}

// Pattern is a destination with wildcards, in two parts: what has to stand there literally, and the segments after
// it. Most patterns are decided by comparing the prefix.
type Pattern struct {
	Prefix string
	Rest   []Segment
}

// New joins segments. Neighbouring ** say no more than one of them.
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

// ParseSubscription reads the pattern of a SUBSCRIBE, which knows ?, * and ** but no variables: braces are literal
// characters there. The caller has seen to it that s is well formed.
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

// IsPattern reports whether s has a wildcard in it.
func IsPattern(s string) bool { return strings.ContainsAny(s, "*?") }

// WellFormed reports whether s is a path of segments none of which is empty, in UTF-8. Nothing else is ever
// allowed or matched: whether //a is /a is a question on which an authorizer and a router must not differ.
func WellFormed(s string) bool {
	if s == "" || s[0] != '/' || s[len(s)-1] == '/' {
		return false
	}
	return !strings.Contains(s, "//") && utf8.ValidString(s)
}

// Cut splits a well-formed path after its first segment, whose slash it drops.
func Cut(path string) (head, tail string) {
	path = path[1:]
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// Match reports whether the well-formed path is one that the pattern stands for, to who. It takes
// time in proportion to the product of both lengths at worst, because a ** that once let a later ** be reached
// never has to be tried again, and it allocates nothing.
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

// value is what a variable stands for. A value that is empty or not UTF-8 stands for nothing: no segment is.
func (s *Segment) value(who Values) (string, bool) {
	text, ok := who.User(), true
	if s.Kind == Claim {
		text, ok = who.Claim(s.Text)
	}
	return text, ok && text != "" && utf8.ValidString(text)
}

// globMatch matches one segment. Only the last * ever has to be tried again, which bounds the time by the product
// of the lengths. A character is a Unicode code point.
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

// Escape writes a name as one segment of a destination.
func Escape(name string) string { return escaper.Replace(name) }

var escaper = strings.NewReplacer("%", "%25", "/", "%2F")

// EqualEscaped reports whether segment is Escape(value), without making that string.
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
