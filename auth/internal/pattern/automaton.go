package pattern

import "slices"

// An automaton reads a destination character by character and tracks all
// positions that this can reach in one or more patterns. The patterns are
// stored one after the other as items; a position (place) is an item's index.
type automaton struct {
	items []item
	seen  []uint32 // seen[place] == round: the place is already in the set being built
	round uint32
}

type item struct {
	op    op
	char  rune // of opChar
	allow bool // effect of the item's rule
}

type op uint8

const (
	opChar op = iota // this character
	opOne            // one character except the slash: ?
	opMany           // any number of characters except the slash: *
	// The start of **: a slash leads into the opRest after it, or both are
	// skipped.
	opDeep
	opRest   // continues or ends what ** has matched so far
	opAccept // the end of the pattern
)

// other stands for all characters that no live item names; all of them have the
// same effect.
const other rune = -1

// add appends a pattern with the values of who for its variables. A pattern
// with a variable without a value cannot match, so it is not added.
func (a *automaton) add(p *Pattern, who Values, allow bool) {
	start := len(a.items)
	put := func(op op, char rune) { a.items = append(a.items, item{op, char, allow}) }
	text := func(s string) {
		for _, char := range s {
			put(opChar, char)
		}
	}
	text(p.Prefix)
	for i := range p.Rest {
		s := &p.Rest[i]
		if s.Kind == Deep {
			put(opDeep, 0)
			put(opRest, 0)
			continue
		}
		put(opChar, '/')
		switch s.Kind {
		case Literal:
			text(s.Text)
		case Any:
			put(opMany, 0)
		case Glob:
			for _, char := range s.Text {
				switch char {
				case '?':
					put(opOne, 0)
				case '*':
					put(opMany, 0)
				default:
					put(opChar, char)
				}
			}
		case User, Claim:
			value, ok := s.value(who)
			if !ok {
				a.items = a.items[:start]
				return
			}
			text(Escape(value))
		}
	}
	put(opAccept, 0)
}

// starts returns the first place of every pattern, and the places reachable
// from there without reading.
func (a *automaton) starts() []int32 {
	a.begin()
	var set []int32
	for i := range a.items {
		if i == 0 || a.items[i-1].op == opAccept {
			set = a.enter(set, int32(i))
		}
	}
	slices.Sort(set)
	return set
}

func (a *automaton) begin() {
	if a.seen == nil {
		a.seen = make([]uint32, len(a.items))
	}
	a.round++
}

// enter adds a place to set, and the places reachable from it without reading.
func (a *automaton) enter(set []int32, place int32) []int32 {
	for a.seen[place] != a.round {
		a.seen[place] = a.round
		set = append(set, place)
		switch a.items[place].op {
		case opMany, opRest:
			place++
		case opDeep:
			place += 2
		default:
			return set
		}
	}
	return set
}

// step appends to dst, in order, the places that reading char reaches from the
// places in set.
func (a *automaton) step(dst, set []int32, char rune) []int32 {
	a.begin()
	for _, place := range set {
		switch it := a.items[place]; it.op {
		case opChar:
			if it.char == char {
				dst = a.enter(dst, place+1)
			}
		case opOne:
			if char != '/' {
				dst = a.enter(dst, place+1)
			}
		case opMany:
			if char != '/' {
				dst = a.enter(dst, place)
			}
		case opDeep:
			if char == '/' {
				dst = a.enter(dst, place+1)
			}
		case opRest:
			dst = a.enter(dst, place)
		}
	}
	slices.Sort(dst)
	return dst
}

// swallowsRest reports whether any remainder matches at this place: the ** at a
// pattern's end.
func (a *automaton) swallowsRest(place int32) bool {
	return a.items[place].op == opRest && a.items[place+1].op == opAccept
}
