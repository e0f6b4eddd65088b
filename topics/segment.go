package topics

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// form is the way in which a pattern segment matches.
type form uint8

const (
	literal form = iota // equal text
	whole               // "*": any one segment
	starred             // contains *
	masked              // contains ? and perhaps *
	deep                // "**": zero or more segments
)

// segment is the text between two separators of a pattern.
type segment struct {
	text string
	form form
	mask *mask // only for masked
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

// match reports whether the segment, which must not be deep, matches one
// non-empty segment of a path. It reads text once, whatever the segment.
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

// matchStars matches a pattern with at least one * and no ?. It matches each
// text between two stars at its first occurrence: a later one would only leave
// less for the rest.
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

// mask matches ? and * by following all ways through the pattern at once. Bit i
// of the state is set if the first i characters of the pattern, not counting
// stars, match the text read so far. The zero mask matches nothing.
type mask struct {
	equal  []standing // positions of each literal character, ordered by character
	any    uint64     // positions of ?
	stars  uint64     // positions of *, each before the character that follows
	accept uint64     // position after the last character
}

// standing is a character and the set of its positions in a mask. A mask has at
// most MaxMasked of them: a map would take four times the memory, and clients
// choose how many masks there are.
type standing struct {
	bits uint64
	char rune
}

// newMask returns the zero mask for a text of more than MaxMasked characters.
// Parse and Compile refuse such a text.
func newMask(text string) *mask {
	if utf8.RuneCountInString(text) > MaxMasked {
		return &mask{}
	}
	m := &mask{accept: 1}
	var room [MaxMasked]standing
	equal := room[:0]
	for _, r := range text {
		switch r {
		case '*':
			m.stars |= m.accept
			continue
		case '?':
			m.any |= m.accept
		default:
			i := search(equal, r)
			if i == len(equal) || equal[i].char != r {
				equal = slices.Insert(equal, i, standing{char: r})
			}
			equal[i].bits |= m.accept
		}
		m.accept <<= 1
	}
	m.equal = slices.Clone(equal)
	return m
}

// search returns the index of the first character that is not less than r.
func search(equal []standing, r rune) int {
	low, high := 0, len(equal)
	for low < high {
		if middle := (low + high) / 2; equal[middle].char < r {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// places returns the positions of r.
func (m *mask) places(r rune) uint64 {
	if i := search(m.equal, r); i < len(m.equal) && m.equal[i].char == r {
		return m.equal[i].bits
	}
	return 0
}

func (m *mask) match(text string) bool {
	state := uint64(1)
	for _, r := range text {
		state = state&(m.any|m.places(r))<<1 | state&m.stars
		if state == 0 {
			return false
		}
	}
	return state&m.accept != 0
}
