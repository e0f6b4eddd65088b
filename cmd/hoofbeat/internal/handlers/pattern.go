package handlers

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// pattern is the destination of a handler behind the application prefix, such as
// "/orders/{id}/**". A variable stands for one segment.
type pattern struct {
	segments []string       // a variable is "*"
	names    map[int]string // of the variables, by their segment
}

var (
	variable = regexp.MustCompile(`^\{[A-Za-z_][A-Za-z0-9_]*\}$`)

	errBraces = errors.New("a variable is a whole segment, a name of letters, digits and _ in braces: /app/orders/{id}")
	errDeep   = errors.New("a {variable} cannot follow **")
)

func parsePattern(path string) (*pattern, error) {
	p := &pattern{segments: segmentsOf(path), names: make(map[int]string)}
	for i, s := range p.segments {
		if !strings.ContainsAny(s, "{}") {
			continue
		}
		name := strings.Trim(s, "{}")
		switch {
		case !variable.MatchString(s):
			return nil, errBraces
		case slices.Contains(p.segments[:i], "**"):
			return nil, errDeep
		}
		for _, other := range p.names {
			if other == name {
				return nil, fmt.Errorf("{%s} is there twice", name)
			}
		}
		p.segments[i], p.names[i] = "*", name
	}
	return p, nil
}

// segmentsOf splits a path. Empty segments are ignored, as in topics.Pattern.
func segmentsOf(path string) []string {
	return strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
}

// ant returns the pattern without names, for topics.Compile.
func (p *pattern) ant() string { return "/" + strings.Join(p.segments, "/") }

// variables returns the values in a path that matches. ok is false if a variable
// has none: as in Spring, /a/* matches /a/.
func (p *pattern) variables(path string) (_ map[string]string, ok bool) {
	if len(p.names) == 0 {
		return nil, true
	}
	values := make(map[string]string, len(p.names))
	segments := segmentsOf(path)
	for i, name := range p.names {
		if i >= len(segments) {
			return nil, false
		}
		values[name] = segments[i]
	}
	return values, true
}

// overlap reports whether some path matches both lists of segments.
func overlap(a, b []string) bool { return meet(a, b, "**", segmentsMeet) }

// segmentsMeet reports whether some text matches both segments.
func segmentsMeet(a, b string) bool {
	return meet([]rune(a), []rune(b), '*', func(a, b rune) bool { return a == b || a == '?' || b == '?' })
}

// meet reports whether some sequence matches both patterns: wild stands for any
// number of elements, and one reports whether an element can match two others.
func meet[E comparable](a, b []E, wild E, one func(a, b E) bool) bool {
	switch {
	case len(a) > 0 && a[0] == wild:
		return meet(a[1:], b, wild, one) || len(b) > 0 && meet(a, b[1:], wild, one)
	case len(b) > 0 && b[0] == wild:
		return meet(b, a, wild, one)
	case len(a) == 0 || len(b) == 0:
		return len(a) == len(b)
	}
	return one(a[0], b[0]) && meet(a[1:], b[1:], wild, one)
}
