package auth

import (
	"strings"
	"unicode/utf8"
)

// segmentKind is how one segment of a pattern is compared with one segment of a destination.
type segmentKind uint8

const (
	segLiteral segmentKind = iota // text, byte by byte
	segGlob                       // text, with ? for one character and * for any number of them
	segAny                        // one segment, whatever it says: * and {name}
	segDeep                       // any number of segments, none included: **
	segUser                       // the principal's name: {user}
	segClaim                      // the principal's claim called text: {claim.NAME}
)

type segment struct {
	kind segmentKind
	text string
}

// pattern is a destination with wildcards, in two parts: what has to stand there literally, and the segments after
// it. Most patterns are decided by comparing the prefix.
type pattern struct {
	prefix string
	rest   []segment
}

// newPattern joins segments. Neighbouring ** say no more than one of them.
func newPattern(segments []segment) pattern {
	var p pattern
	for _, s := range segments {
		last := len(p.rest) - 1
		switch {
		case last < 0 && s.kind == segLiteral:
			p.prefix += "/" + s.text
		case last >= 0 && s.kind == segDeep && p.rest[last].kind == segDeep:
		default:
			p.rest = append(p.rest, s)
		}
	}
	return p
}

// parseSubscription reads the pattern of a SUBSCRIBE, which knows ?, * and ** but no variables: braces are literal
// characters there. The caller has seen to it that s is well formed.
func parseSubscription(s string) pattern {
	var segments []segment
	for s != "" {
		var text string
		text, s = cut(s)
		segments = append(segments, wildcardSegment(text))
	}
	return newPattern(segments)
}

func wildcardSegment(text string) segment {
	switch {
	case text == "**":
		return segment{kind: segDeep}
	case strings.Trim(text, "*") == "":
		return segment{kind: segAny}
	case isPattern(text):
		return segment{kind: segGlob, text: text}
	default:
		return segment{kind: segLiteral, text: text}
	}
}

func isPattern(s string) bool { return strings.ContainsAny(s, "*?") }

// wellFormed reports whether s is a path of segments none of which is empty, in UTF-8. Nothing else is ever
// allowed or matched: whether //a is /a is a question on which an authorizer and a router must not differ.
func wellFormed(s string) bool {
	if s == "" || s[0] != '/' || s[len(s)-1] == '/' {
		return false
	}
	return !strings.Contains(s, "//") && utf8.ValidString(s)
}

// cut splits a well-formed path after its first segment, whose slash it drops.
func cut(path string) (head, tail string) {
	path = path[1:]
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// match reports whether the well-formed path is one that the pattern stands for, to the principal who. It takes
// time in proportion to the product of both lengths at worst, because a ** that once let a later ** be reached
// never has to be tried again, and it allocates nothing.
func (p *pattern) match(who *Principal, path string) bool {
	if !strings.HasPrefix(path, p.prefix) {
		return false
	}
	path = path[len(p.prefix):]
	if path != "" && path[0] != '/' {
		return false
	}
	at, deep, retry := 0, -1, ""
	for path != "" {
		if at < len(p.rest) {
			if p.rest[at].kind == segDeep {
				if at == len(p.rest)-1 {
					return true
				}
				deep, retry = at, path
				at++
				continue
			}
			head, tail := cut(path)
			if p.rest[at].match(who, head) {
				at++
				path = tail
				continue
			}
		}
		if deep < 0 {
			return false
		}
		_, retry = cut(retry)
		at, path = deep+1, retry
	}
	return at == len(p.rest) || at == len(p.rest)-1 && p.rest[at].kind == segDeep
}

func (s *segment) match(who *Principal, text string) bool {
	switch s.kind {
	case segLiteral:
		return s.text == text
	case segGlob:
		return globMatch(s.text, text)
	case segAny:
		return true
	case segUser, segClaim:
		value, ok := s.value(who)
		return ok && equalEscaped(text, value)
	default:
		return false
	}
}

// value is what a variable stands for. A value that is empty or not UTF-8 stands for nothing: no segment is.
func (s *segment) value(who *Principal) (string, bool) {
	text, ok := who.Name, true
	if s.kind == segClaim {
		text, ok = who.Claim(s.text)
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

// escaper writes a name as one segment of a destination.
var escaper = strings.NewReplacer("%", "%25", "/", "%2F")

// equalEscaped reports whether segment is escaper.Replace(value), without making that string.
func equalEscaped(segment, value string) bool {
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
