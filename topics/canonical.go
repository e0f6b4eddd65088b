package topics

import "strings"

// Collapse removes the empty segments of a destination or pattern:
// "//topic/a//b/" becomes "/topic/a/b". A text of separators alone becomes "/".
// A text without empty segments is returned unchanged, without a copy.
//
// A [Pattern] ignores empty segments, so it matches the collapsed form of
// whatever it matches, with one exception: "/a/*" matches "/a/", which
// collapses to "/a".
func Collapse(s string) string {
	if len(s) < 2 || s[len(s)-1] != '/' && !strings.Contains(s, "//") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	if s[0] != '/' {
		text, rest := nextSegment(s)
		b.WriteString(text)
		s = rest
	}
	for text, rest := nextSegment(s); text != ""; text, rest = nextSegment(rest) {
		b.WriteByte('/')
		b.WriteString(text)
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}
