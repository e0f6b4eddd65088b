package topics

import (
	"slices"
	"strings"
)

// The oracles: the rules as they are defined, without regard to cost.

// naiveMatch is AntPathMatcher by definition, exponential in the number of
// wildcards.
func naiveMatch(pattern, path string) bool {
	if strings.HasPrefix(pattern, "/") != strings.HasPrefix(path, "/") {
		return false
	}
	ps, ss := naiveSegments(pattern), naiveSegments(path)
	trailing := strings.HasSuffix(path, "/")
	if n := len(ps); trailing && n > 0 && ps[n-1] == "*" && !slices.Contains(ps, "**") && naiveSequence(ps[:n-1], ss) {
		return true
	}
	if !naiveSequence(ps, ss) {
		return false
	}
	return len(ps) > 0 && ps[len(ps)-1] == "**" || strings.HasSuffix(pattern, "/") == trailing
}

func naiveSegments(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == '/' })
}

func naiveSequence(ps, ss []string) bool {
	switch {
	case len(ps) == 0:
		return len(ss) == 0
	case ps[0] == "**":
		return naiveSequence(ps[1:], ss) || len(ss) > 0 && naiveSequence(ps, ss[1:])
	default:
		return len(ss) > 0 && naiveGlob([]rune(ps[0]), []rune(ss[0])) && naiveSequence(ps[1:], ss[1:])
	}
}

func naiveGlob(p, s []rune) bool {
	switch {
	case len(p) == 0:
		return len(s) == 0
	case p[0] == '*':
		return naiveGlob(p[1:], s) || len(s) > 0 && naiveGlob(p, s[1:])
	default:
		return len(s) > 0 && (p[0] == '?' || p[0] == s[0]) && naiveGlob(p[1:], s[1:])
	}
}

// naiveIndex scans everything.
type naiveIndex []naiveSubscription

type naiveSubscription struct {
	destination string
	s           int
}

func (x *naiveIndex) add(destination string, s int) {
	*x = append(*x, naiveSubscription{destination, s})
}

func (x *naiveIndex) remove(destination string, s int) bool {
	i := slices.Index(*x, naiveSubscription{destination, s})
	if i < 0 {
		return false
	}
	*x = slices.Delete(*x, i, i+1)
	return true
}

// match returns the subscribers sorted.
func (x naiveIndex) match(destination string) []int {
	var found []int
	for _, e := range x {
		if e.destination == destination && !IsPattern(destination) || IsPattern(e.destination) && naiveMatch(e.destination, destination) {
			found = append(found, e.s)
		}
	}
	slices.Sort(found)
	return found
}

func (x naiveIndex) counts() map[string]int {
	counts := make(map[string]int)
	for _, e := range x {
		counts[e.destination]++
	}
	return counts
}

// sorted returns a sorted copy, nil if empty.
func sorted[S ~[]int](s S) []int {
	return slices.Sorted(slices.Values(s))
}
