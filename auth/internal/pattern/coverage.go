package pattern

import (
	"encoding/binary"
	"iter"
	"slices"
	"strings"
)

// Cover reads all destinations of a pattern at once. An automaton of the
// pattern gives the possible next characters, and an automaton of all rules
// gives the rules that can still match. Two destinations that reach the same
// places in both are equivalent, so there are finitely many cases, usually a
// few dozen. The search ends when it has found an allowed and a denied
// destination, when it has seen all cases, or when the budget is used up:
// nested stars can make the number of cases exponential.

// coverageBudget limits one decision, in visited places. Each costs some 20 ns
// (amd64, 2026-11), mostly for memory.
const coverageBudget = 50_000

// search is one decision about a pattern.
type search struct {
	pattern, rules automaton
	budget         int
	visited        map[string]struct{}
	pending        []situation
	allowed        bool // an allowed destination was found
	denied         bool // a denied destination was found
}

// situation is a case. It alone determines the effect of the characters that
// follow.
type situation struct {
	at    int32   // place in the pattern
	rules []int32 // places in the rules, in the order of the rules
	slash bool    // the last character was a slash, so a segment must begin
}

// Coverage is the allowed part of a pattern's destinations.
type Coverage uint8

// [None] and [All] are proven for every destination; any other result is
// [Some].
const (
	None Coverage = iota
	Some
	All
)

// Cover returns which of the destinations of p the rules allow who to subscribe
// to. The first rule that matches a destination decides. Each rule is a pattern
// and whether it allows.
func Cover(p Pattern, who Values, rules iter.Seq2[*Pattern, bool]) Coverage {
	s := search{budget: coverageBudget, visited: make(map[string]struct{})}
	s.pattern.add(&p, who, false)
	for rule, allow := range rules {
		if samePath(rule.Prefix, p.Prefix) {
			s.rules.add(rule, who, allow)
		}
	}

	// Every destination begins with a slash. Each place of the pattern is
	// followed separately.
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

// samePath reports whether one of two prefixes begins with the other; otherwise
// no destination begins with both.
func samePath(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

// explore reads every possible next character. It reads all characters that no
// rule names at its place as one.
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
			s.pending = append(s.pending, now) // not finished
			return
		}
		s.read(from, now.rules, char)
	}
}

// over reports whether further reading cannot change the result, or the budget
// is used up.
func (s *search) over() bool { return s.allowed && s.denied || s.budget <= 0 }

// read reads one character at places in the pattern and in the rules, and
// judges the result.
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

// verdict is the effect on all destinations that begin with the characters read
// so far.
type verdict uint8

const (
	undecided verdict = iota
	alwaysAllowed
	alwaysDenied
)

// judge drops the rules after one that matches any remainder, and returns the
// verdict if it is already certain.
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
			live = live[:i+2] // keep its end, the place after the **
			break
		}
	}
	if !allow {
		return nil, alwaysDenied
	}
	return live, undecided
}

// arrive counts a destination that ends here, or keeps a new situation for
// exploration.
func (s *search) arrive(now situation, v verdict) {
	it := s.pattern.items[now.at]
	if now.slash && (it.op == opAccept || it.op == opDeep || it.op == opChar && it.char == '/') {
		return // an empty segment: no destination continues from here
	}
	// From any other place the pattern can be completed to a destination, so a
	// certain verdict counts as found.
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

// accepts reports whether the first rule that matches the characters read so
// far allows.
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
