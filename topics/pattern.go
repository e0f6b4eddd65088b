package topics

import (
	"strings"
	"unicode/utf8"
)

// IsPattern reports whether s contains ? or *. A name in braces, {var}, is
// literal.
func IsPattern(s string) bool {
	return strings.IndexByte(s, '*') >= 0 || strings.IndexByte(s, '?') >= 0
}

// Pattern is a compiled Ant-style pattern. It matches as Spring's
// AntPathMatcher does:
//
//   - ? matches one character and * zero or more, within a segment;
//   - ** as a whole segment matches zero or more segments, so /a/** matches /a;
//   - pattern and path must agree on a leading and on a trailing separator,
//     except that a final ** accepts either trailing form, and that /a/*
//     matches /a/;
//   - empty segments are ignored: /a//b is /a/b;
//   - letter case and white space are significant.
//
// A Pattern is immutable and safe for concurrent use.
type Pattern struct {
	text     string
	leading  bool
	trailing bool
	segments []segment
}

// Compile compiles a pattern. A text without wildcards is also a pattern, and
// matches itself. Like [Parse] it returns an [Error] for: a control character,
// invalid UTF-8, more than MaxLength bytes or MaxLevels separators, and a
// segment that has a ? and more than MaxMasked characters.
func Compile(s string) (*Pattern, error) {
	if err := check(s); err != nil {
		return nil, err
	}
	if err := checkMasked(s); err != nil {
		return nil, err
	}
	return newPattern(s), nil
}

// checkMasked applies the rule that patterns have in addition to check.
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

// newPattern compiles a text that was checked before. A segment that Compile
// would refuse matches nothing.
func newPattern(s string) *Pattern {
	p := &Pattern{text: s, leading: strings.HasPrefix(s, "/"), trailing: strings.HasSuffix(s, "/")}
	for text, rest := nextSegment(s); text != ""; text, rest = nextSegment(rest) {
		g := newSegment(text)
		if n := len(p.segments); g.form == deep && n > 0 && p.segments[n-1].form == deep {
			continue // **/** equals **
		}
		p.segments = append(p.segments, g)
	}
	return p
}

// String returns the source text of the pattern.
func (p *Pattern) String() string { return p.text }

// Match reports whether the pattern matches all of path. It is for single
// patterns, such as those of handlers; an [Index] finds all subscriptions that
// match, with the same results. It allocates nothing.
// Its time grows linearly with the length of path, whatever the pattern: it
// retries only from the latest **, because that one can take whatever an
// earlier one could have taken, and it never retries within a segment.
func (p *Pattern) Match(path string) bool {
	if strings.HasPrefix(path, "/") != p.leading {
		return false
	}
	trailing := strings.HasSuffix(path, "/")
	last := len(p.segments) - 1
	i := 0     // next segment of the pattern to match
	star := -1 // latest ** passed, -1 = none
	mark := "" // where the part after that ** was last tried
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

// nextSegment returns the first non-empty segment of path and the text after
// it. At the end it returns an empty text.
func nextSegment(path string) (text, rest string) {
	for path != "" && path[0] == '/' {
		path = path[1:]
	}
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}
