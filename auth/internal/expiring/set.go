// Package expiring keeps names, each until a time of its own.
package expiring

import (
	"maps"
	"slices"
	"time"
)

// Set remembers until when something holds for a name, and forgets what does not hold any more. It looks through
// all names only when their number has doubled since it last did, so that a name costs the same however many there
// are. The zero value is ready. It does not lock.
type Set struct {
	untils map[string]time.Time
	full   int // at so many names they are looked through
}

const minimum = 64

// Until returns the instant that was kept for name, or the zero time.
func (s *Set) Until(name string) time.Time { return s.untils[name] }

// Len returns how many names are kept, those included whose time is over and that
// have not been looked through since.
func (s *Set) Len() int { return len(s.untils) }

// Keep remembers an instant for name.
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

// Bound forgets, when there are more than most names, the tenth of them that ends first.
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
	forget(last.Equal) // many may end at one time, or never
}
