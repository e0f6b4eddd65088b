package topics

import (
	"strings"
	"unicode/utf8"
)

// IsPattern reports whether s contains ? or *. A name in braces, {var}, is taken literally here.
func IsPattern(s string) bool {
	return strings.IndexByte(s, '*') >= 0 || strings.IndexByte(s, '?') >= 0
}

// Pattern is a compiled Ant-style pattern, with the outcomes of Spring's AntPathMatcher:
//
//   - ? matches one character and * zero or more, inside a segment;
//   - ** as a whole segment matches zero or more segments, so /a/** matches /a;
//   - a leading and a trailing separator must be there in both or in neither, except that behind a final **
//     the trailing one does not matter, and that /a/* matches /a/;
//   - empty segments vanish: /a//b is /a/b;
//   - letters differ by case, and white space counts.
//
// A Pattern is immutable and may be used by any number of goroutines.
type Pattern struct {
	text     string
	leading  bool
	trailing bool
	segments []segment
}

// Compile prepares a pattern. A text without wildcards is a pattern too and matches itself. Refused with an
// [Error], as in [Parse]: control characters, invalid UTF-8, more than MaxLength bytes or MaxLevels separators, a
// segment of more than MaxMasked characters with a ? among them.
func Compile(s string) (*Pattern, error) {
	if err := check(s); err != nil {
		return nil, err
	}
	if err := checkMasked(s); err != nil {
		return nil, err
	}
	return newPattern(s), nil
}

// checkMasked holds what is true of patterns besides.
func checkMasked(s string) error {
	if !strings.Contains(s, "?") {
		return nil
	}
	for text, rest := nextSegment(s); text != ""; text, rest = nextSegment(rest) {
		if utf8.RuneCountInString(text) > MaxMasked && strings.Contains(text, "?") {
			return ErrMaskTooLong
		}
	}
	return nil
}

// newPattern is Compile for a text that was checked before. A segment that Compile would refuse matches nothing.
func newPattern(s string) *Pattern {
	p := &Pattern{text: s, leading: strings.HasPrefix(s, "/"), trailing: strings.HasSuffix(s, "/")}
	for text, rest := nextSegment(s); text != ""; text, rest = nextSegment(rest) {
		g := newSegment(text)
		if n := len(p.segments); g.form == deep && n > 0 && p.segments[n-1].form == deep {
			continue // **/** is **
		}
		p.segments = append(p.segments, g)
	}
	return p
}

// String returns the text that was compiled.
func (p *Pattern) String() string { return p.text }

// Match reports whether the pattern matches all of path. It allocates nothing. Its time is linear in the length of
// path whatever the pattern: only the latest ** is ever tried again, because whatever an earlier one could gain by
// taking more, the latest can take instead; and within a segment there is no second try at all.
func (p *Pattern) Match(path string) bool {
	if strings.HasPrefix(path, "/") != p.leading {
		return false
	}
	trailing := strings.HasSuffix(path, "/")
	last := len(p.segments) - 1
	i := 0     // the pattern's segment to match next
	star := -1 // the latest ** passed
	mark := "" // where what follows that ** was last tried
	for text, rest := nextSegment(path); text != ""; text, rest = nextSegment(path) {
		switch {
		case i <= last && p.segments[i].form == deep:
			if i == last {
				return true
			}
			star, mark = i, path
			i++
		case i <= last && p.segments[i].match(text):
			i++
			path = rest
		case star >= 0:
			_, mark = nextSegment(mark)
			i, path = star+1, mark
		default:
			return false
		}
	}
	switch {
	case i > last:
		return p.trailing == trailing
	case i < last:
		return false
	default:
		return p.segments[i].form == deep || star < 0 && trailing && p.segments[i].form == whole
	}
}

// nextSegment returns the first segment of path that is not empty, and what follows it. At the end it returns
// an empty text.
func nextSegment(path string) (text, rest string) {
	for path != "" && path[0] == '/' {
		path = path[1:]
	}
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}
