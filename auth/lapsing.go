package auth

import (
	"maps"
	"slices"
	"time"
)

// lapsing remembers until when something holds for a name, and forgets what does not hold any more. It looks through
// all names only when their number has doubled since it last did, so that a name costs the same however many there
// are. The zero value is ready. It does not lock.
type lapsing struct {
	untils map[string]time.Time
	full   int // at so many names they are looked through
}

const lapsingMin = 64

// until returns the instant that was kept for name, or the zero time.
func (l *lapsing) until(name string) time.Time { return l.untils[name] }

// keep remembers an instant for name.
func (l *lapsing) keep(name string, until, now time.Time) {
	if l.untils == nil {
		l.untils, l.full = make(map[string]time.Time), lapsingMin
	}
	l.untils[name] = until
	if len(l.untils) < l.full {
		return
	}
	for other, at := range l.untils {
		if !at.After(now) {
			delete(l.untils, other)
		}
	}
	l.full = max(lapsingMin, 2*len(l.untils))
}

// bound forgets, when there are more than most names, the tenth of them that ends first.
func (l *lapsing) bound(most int) {
	if len(l.untils) <= most {
		return
	}
	ends := slices.SortedFunc(maps.Values(l.untils), time.Time.Compare)
	surplus := len(ends) / 10
	last := ends[surplus]
	forget := func(due func(time.Time) bool) {
		for name, at := range l.untils {
			if surplus > 0 && due(at) {
				delete(l.untils, name)
				surplus--
			}
		}
	}
	forget(func(at time.Time) bool { return at.Before(last) })
	forget(last.Equal) // many may end at one time, or never
}
