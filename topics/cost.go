package topics

import (
	"strings"
	"unicode/utf8"
)

// What a [Router] holds for one subscription, in bytes. The tests of package broker measure the heap against it.
const (
	costBase   = 128 // an entry of the tables, its slot and its list
	costLevel  = 208 // a branch of the trie; 168 where it is an only child
	costMask   = 64
	costMasked = 16 // a character of a segment with a ?
)

// Cost returns how many bytes of memory a [Router] holds for one subscription to d, its strings included. It is an
// estimate from above: what patterns have in common is held once and counted for each, except their first level.
func (d Destination) Cost() int {
	cost := costBase + 2*len(d.Name) + len(d.User)
	if !d.Pattern {
		return cost
	}
	cost -= costLevel // nearly all begin with one of a few prefixes
	for text, rest := nextSegment(d.Path); text != ""; text, rest = nextSegment(rest) {
		cost += costLevel
		if strings.Contains(text, "?") {
			cost += costMask + costMasked*utf8.RuneCountInString(text)
		}
	}
	return cost
}
