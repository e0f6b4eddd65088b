package topics

// Segments with wildcards that a pattern may have before it is slow.
const (
	fastWild    = 3
	fastAffixed = 1
)

// Slow reports whether a [Router] has to compare the pattern d one by one with the destinations that are sent to, or
// cannot bound what it costs by the length of the destination. That is so if a segment has a ? or a star with text on
// both sides or several stars (a?, a*b, *a*), if two segments have text and a star (a*, *a), or if more than three
// have any wildcard. Who lets strangers subscribe should bound the number of such patterns: each adds to the cost of
// a Match for everybody.
func (d Destination) Slow() bool {
	if !d.Pattern || d.Kind != Topic && d.Kind != Queue {
		return false
	}
	wild, affixed := 0, 0
	for text, rest := nextSegment(d.Path); text != ""; text, rest = nextSegment(rest) {
		if !IsPattern(text) {
			continue
		}
		wild++
		if text == "*" || text == "**" {
			continue
		}
		if _, _, ok := affix(text); !ok {
			return true
		}
		affixed++
	}
	return wild > fastWild || affixed > fastAffixed
}
