package topics

import (
	"strings"
	"unicode/utf8"
)

// form is how a segment of a pattern matches.
type form uint8

const (
	literal form = iota // equal
	whole               // "*": any one segment
	starred             // with *
	masked              // with ? and perhaps *
	deep                // "**": zero or more segments
)

// segment is what stands between two separators of a pattern.
type segment struct {
	text string
	form form
	mask mask // of a masked segment
}

func newSegment(text string) segment {
	switch {
	case text == "*":
		return segment{text: text, form: whole}
	case text == "**":
		return segment{text: text, form: deep}
	case strings.Contains(text, "?"):
		return segment{text: text, form: masked, mask: newMask(text)}
	case strings.Contains(text, "*"):
		return segment{text: text, form: starred}
	default:
		return segment{text: text, form: literal}
	}
}

// match reports whether the segment, which is not deep, matches one non-empty segment of a path. Whatever the
// segment, that takes one pass over text.
func (g *segment) match(text string) bool {
	switch g.form {
	case literal:
		return g.text == text
	case whole:
		return true
	case starred:
		return matchStars(g.text, text)
	default:
		return g.mask.match(text)
	}
}

// matchStars matches a pattern with at least one * and without ?. What stands between two stars is taken where it
// is found first: a later place would only leave less for the rest.
func matchStars(pattern, text string) bool {
	head, pattern, _ := strings.Cut(pattern, "*")
	if !strings.HasPrefix(text, head) {
		return false
	}
	text = text[len(head):]
	for {
		run, rest, more := strings.Cut(pattern, "*")
		if !more {
			return strings.HasSuffix(text, run)
		}
		i := strings.Index(text, run)
		if i < 0 {
			return false
		}
		pattern, text = rest, text[i+len(run):]
	}
}

// mask matches ? and * by following all ways through the pattern at once: bit i of the state says that the first
// i characters, stars left out, match what was read so far. The zero mask matches nothing.
type mask struct {
	equal  map[rune]uint64 // where each character stands
	any    uint64          // where a ? stands
	stars  uint64          // where a * stands, before that character
	accept uint64          // behind the last character
}

// newMask returns the zero mask for a text of more than MaxMasked characters, which Parse and Compile refuse.
func newMask(text string) mask {
	if utf8.RuneCountInString(text) > MaxMasked {
		return mask{}
	}
	m := mask{equal: make(map[rune]uint64), accept: 1}
	for _, r := range text {
		switch r {
		case '*':
			m.stars |= m.accept
			continue
		case '?':
			m.any |= m.accept
		default:
			m.equal[r] |= m.accept
		}
		m.accept <<= 1
	}
	return m
}

func (m *mask) match(text string) bool {
	state := uint64(1)
	for _, r := range text {
		state = state&(m.any|m.equal[r])<<1 | state&m.stars
		if state == 0 {
			return false
		}
	}
	return state&m.accept != 0
}
