// Package expiring keeps names, each until its own expiry time.
package expiring

import (
	"maps"
	"slices"
	"time"
)

// Set keeps an expiry time for each name, and removes expired names. It scans
// all names only when their number has doubled since the last scan, so the cost
// per name does not depend on their number. The zero value is ready. It does no
// locking.
type Set struct {
	untils map[string]time.Time
	full   int // number of names at which to scan
}

const minimum = 64

// Until returns the expiry time of name, or the zero time.
func (s *Set) Until(name string) time.Time { return s.untils[name] }

// Len returns how many names are kept, including expired ones that no scan has
// removed yet.
func (s *Set) Len() int { return len(s.untils) }

// Keep sets the expiry time of name.
func (s *Set) Keep(name string, until, now time.Time) {
	if s.untils == nil {
		s.untils, s.full = make(map[string]time.Time), minimum
	}
	s.untils[name] = until
	if len(s.untils) < s.full {
		return
	}
	for other, at := range s.untils {
		if !at.After(now) {
			delete(s.untils, other)
		}
	}
	s.full = max(minimum, 2*len(s.untils))
}

// Bound removes the tenth of the names that expires first, if there are more
// than most names.
func (s *Set) Bound(most int) {
	if len(s.untils) <= most {
		return
	}
	ends := slices.SortedFunc(maps.Values(s.untils), time.Time.Compare)
	surplus := len(ends) / 10
	last := ends[surplus]
	forget := func(due func(time.Time) bool) {
		for name, at := range s.untils {
			if surplus > 0 && due(at) {
				delete(s.untils, name)
				surplus--
			}
		}
	}
	forget(func(at time.Time) bool { return at.Before(last) })
	forget(last.Equal) // many may expire at the same time, or never
}
