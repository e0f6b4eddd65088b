package topics

// Maximum numbers of segments with wildcards, and of segments like a* or *a, in
// a pattern that is not slow.
const (
	fastWild    = 3
	fastAffixed = 1
)

// Slow reports whether a [Router] must compare the pattern d one by one with
// the destinations of messages, or cannot bound its cost by the length of the
// destination. A pattern is slow if a segment has a ?, several stars, or a star
// with text on both sides (a?, *a*, a*b), if two segments have text and a star
// (a*, *a), or if more than three segments have wildcards. A broker that
// accepts untrusted subscribers should limit the number of such patterns: each
// adds to the cost of every Match.
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
