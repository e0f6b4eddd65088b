package pattern

import (
	"encoding/binary"
	"iter"
	"slices"
	"strings"
)

// Whether a pattern is covered is decided by reading all the destinations it matches at once: one automaton of the
// pattern says what can come next, one of all the rules says which of them are still possible. Two destinations
// that lead to the same places in both are the same, so there are finitely many cases, and usually a few dozen.
// The search ends as soon as one destination is allowed and one is denied, when all cases have been seen, or when
// the budget is used up: nested stars can make the cases exponentially many.

// coverageBudget limits one decision, in places visited. One costs some 20 ns (amd64, 2026-11), most of it memory.
const coverageBudget = 50_000

// search is one decision about a pattern.
type search struct {
	pattern, rules automaton
	budget         int
	visited        map[string]struct{}
	pending        []situation
	allowed        bool // a destination has been found that is allowed
	denied         bool // and one that is denied
}

// situation is a case: what has been read leads here, and what follows is decided by this alone.
type situation struct {
	at    int32   // the place in the pattern
	rules []int32 // the places in the rules, in the order of the rules
	slash bool    // the last character was a slash, so that a segment has to begin
}

// Coverage is how much of what a pattern matches is allowed.
type Coverage uint8

// [None] and [All] are proven for every destination, and everything else is [Some].
const (
	None Coverage = iota
	Some
	All
)

// Cover returns how much of what a pattern of a SUBSCRIBE matches is allowed to who
// by rules, of which the first that matches a destination decides. Each is a pattern
// and whether it allows.
func Cover(p Pattern, who Values, rules iter.Seq2[*Pattern, bool]) Coverage {
	s := search{budget: coverageBudget, visited: make(map[string]struct{})}
	s.pattern.add(&p, who, false)
	for rule, allow := range rules {
		if samePath(rule.Prefix, p.Prefix) {
			s.rules.add(rule, who, allow)
		}
	}

	// Every destination begins with a slash. Each place of the pattern is followed on its own.
	s.read(s.pattern.starts(), s.rules.starts(), '/')
	for len(s.pending) > 0 && !s.over() {
		last := len(s.pending) - 1
		next := s.pending[last]
		s.pending = s.pending[:last]
		s.explore(next)
	}
	switch {
	case s.allowed && s.denied || len(s.pending) > 0:
		return Some
	case s.allowed:
		return All
	default:
		return None
	}
}

// samePath reports whether one of two prefixes begins with the other; if not, no destination begins with both.
func samePath(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

// explore reads every character that may come next. Those that no rule names at its place are taken together.
func (s *search) explore(now situation) {
	from := []int32{now.at}
	if it := s.pattern.items[now.at]; it.op == opChar {
		s.read(from, now.rules, it.char)
		return
	}
	s.read(from, now.rules, other)
	if !now.slash {
		s.read(from, now.rules, '/')
	}
	chars := make([]rune, 0, len(now.rules))
	for _, place := range now.rules {
		if it := s.rules.items[place]; it.op == opChar && it.char != '/' {
			chars = append(chars, it.char)
		}
	}
	slices.Sort(chars)
	for _, char := range slices.Compact(chars) {
		if s.over() {
			s.pending = append(s.pending, now) // not done with it
			return
		}
		s.read(from, now.rules, char)
	}
}

// over reports whether to read on would change nothing, or cost too much.
func (s *search) over() bool { return s.allowed && s.denied || s.budget <= 0 }

// read takes one character from places in the pattern and in the rules, and judges where that leads.
func (s *search) read(from, rules []int32, char rune) {
	at := s.pattern.step(nil, from, char)
	s.budget -= 1 + len(at)
	if len(at) == 0 {
		return
	}
	live := s.rules.step(nil, rules, char)
	s.budget -= len(rules) + len(live)
	live, verdict := s.judge(live)
	for _, place := range at {
		s.arrive(situation{place, live, char == '/'}, verdict)
	}
}

// verdict is what is known of all destinations that begin with what has been read.
type verdict uint8

const (
	undecided verdict = iota
	alwaysAllowed
	alwaysDenied
)

// judge drops the rules behind one that matches everything that can follow, and says what is certain by then.
func (s *search) judge(live []int32) ([]int32, verdict) {
	allow, deny := false, false
	for i, place := range live {
		if s.rules.items[place].allow {
			allow = true
		} else {
			deny = true
		}
		if s.rules.swallowsRest(place) {
			if !deny {
				return nil, alwaysAllowed
			}
			live = live[:i+2] // its end stays: it is the place behind the **
			break
		}
	}
	if !allow {
		return nil, alwaysDenied
	}
	return live, undecided
}

// arrive counts a destination that ends here, or keeps the situation to be explored if it is new.
func (s *search) arrive(now situation, v verdict) {
	it := s.pattern.items[now.at]
	if now.slash && (it.op == opAccept || it.op == opDeep || it.op == opChar && it.char == '/') {
		return // an empty segment: no destination goes on from here
	}
	// From anywhere else the pattern can be completed to a destination, so a certain verdict is a found one.
	switch {
	case v == alwaysAllowed || v == undecided && it.op == opAccept && s.accepts(now.rules):
		s.allowed = true
	case v == alwaysDenied || it.op == opAccept:
		s.denied = true
	default:
		key := now.key()
		if _, known := s.visited[key]; !known {
			s.visited[key] = struct{}{}
			s.pending = append(s.pending, now)
		}
	}
}

// accepts reports whether the first rule that matches what has been read allows it.
func (s *search) accepts(live []int32) bool {
	for _, place := range live {
		if s.rules.items[place].op == opAccept {
			return s.rules.items[place].allow
		}
	}
	return false
}

func (s situation) key() string {
	b := make([]byte, 0, 4*len(s.rules)+5)
	b = binary.LittleEndian.AppendUint32(b, uint32(s.at))
	if s.slash {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	for _, place := range s.rules {
		b = binary.LittleEndian.AppendUint32(b, uint32(place))
	}
	return string(b)
}
