package topics

import (
	"strings"
	"unicode/utf8"
)

// Memory that a [Router] uses for one subscription, in bytes. Tests of package
// broker compare the heap with it.
const (
	costBase   = 128 // table entry, its slot and its list
	costLevel  = 208 // branch of the trie; 168 for an only child
	costMask   = 64
	costMasked = 16 // per character of a segment with a ?
)

// Cost estimates the bytes of memory that a [Router] uses for one subscription
// to d, including its strings. It is an upper bound: it counts the segments
// that patterns share once for each pattern, except for their first level.
func (d Destination) Cost() int {
	cost := costBase + 2*len(d.Name) + len(d.User)
	if !d.Pattern {
		return cost
	}
	cost -= costLevel // almost all patterns share their first level
	for text, rest := nextSegment(d.Path); text != ""; text, rest = nextSegment(rest) {
		cost += costLevel
		if strings.Contains(text, "?") {
			cost += costMask + costMasked*utf8.RuneCountInString(text)
		}
	}
	return cost
}
