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
func overlap(a, b []string) bool {
	switch {
	case len(a) > 0 && a[0] == "**":
		return overlap(a[1:], b) || len(b) > 0 && overlap(a, b[1:])
	case len(b) > 0 && b[0] == "**":
		return overlap(b, a)
	case len(a) == 0 || len(b) == 0:
		return len(a) == len(b)
	}
	return meet([]rune(a[0]), []rune(b[0])) && overlap(a[1:], b[1:])
}

// meet reports whether some text matches both segments.
func meet(a, b []rune) bool {
	switch {
	case len(a) > 0 && a[0] == '*':
		return meet(a[1:], b) || len(b) > 0 && meet(a, b[1:])
	case len(b) > 0 && b[0] == '*':
		return meet(b, a)
	case len(a) == 0 || len(b) == 0:
		return len(a) == len(b)
	}
	return (a[0] == b[0] || a[0] == '?' || b[0] == '?') && meet(a[1:], b[1:])
}
