package events

import (
	"fmt"
	"strings"

	"github.com/hoofbeat/hoofbeat/topics"
)

// Destinations are the destinations whose subscriptions are reported. Nil
// matches all.
type Destinations struct {
	names *topics.Names
	list  []reported
}

// reported is one pattern.
type reported struct {
	pattern *topics.Pattern
	stem    string
}

// NewDestinations compiles patterns. It returns nil if there are none. The error
// names the wrong one.
func NewDestinations(names *topics.Names, patterns []string) (*Destinations, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	d := &Destinations{names: names}
	for _, text := range patterns {
		parsed, err := names.ParseSubscription(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not accepted: %w", text, err)
		}
		name := names.Canonical(parsed)
		p, err := topics.Compile(name)
		if err != nil {
			return nil, fmt.Errorf("%q is not accepted: %w", text, err)
		}
		d.list = append(d.list, reported{p, stem(name)})
	}
	return d, nil
}

// Match reports whether a subscription to a destination is reported: the
// destination matches one of the patterns, or is a pattern itself and the two
// begin alike up to the first wildcard, so that no subscription which gets
// messages of these destinations is left out.
func (d *Destinations) Match(destination string) bool {
	if d == nil {
		return true
	}
	parsed, err := d.names.ParseSubscription(destination)
	if err != nil {
		return false
	}
	name := d.names.Canonical(parsed)
	for _, r := range d.list {
		if r.pattern.Match(name) || parsed.Pattern && alike(r.stem, stem(name)) {
			return true
		}
	}
	return false
}

// stem returns what is before the first wildcard.
func stem(pattern string) string {
	if i := strings.IndexAny(pattern, "*?"); i >= 0 {
		return pattern[:i]
	}
	return pattern
}

// alike reports whether one of two texts begins with the other.
func alike(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }
