// Package loglimit keeps a client from filling the log: it decides whether an
// event may be logged, and counts those that may not.
package loglimit

import (
	"sync"
	"time"
)

const (
	// Every is the shortest time between two lines about one key.
	Every = time.Second
	// PerSecond is the maximum number of lines a second for all keys together.
	PerSecond = 50
	// maxKeys is the number of keys that are remembered at one time. Further keys
	// share one entry.
	maxKeys = 1024
)

// A Limiter allows one line per key each second, and [PerSecond] lines a second
// in all. A key is what the events of one culprit have in common, such as the
// kind of the event and the network of the client. The zero value is ready. All
// methods are safe for concurrent use.
type Limiter struct {
	mu     sync.Mutex
	keys   map[Key]*entry
	second time.Time // start of the second that lines are counted in
	lines  int
}

// Key identifies what is limited.
type Key struct {
	Kind string // of the event
	From string // the network, origin or user that caused it
}

type entry struct {
	last       time.Time // when a line was last allowed
	suppressed int
}

// Allow reports whether a line about key may be logged now, and how many lines
// about it were suppressed since the last one.
func (l *Limiter) Allow(now time.Time, key Key) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entry(now, key)
	if now.Sub(l.second) >= time.Second {
		l.second, l.lines = now, 0
	}
	if now.Sub(e.last) < Every || l.lines >= PerSecond {
		e.suppressed++
		return 0, false
	}
	l.lines++
	suppressed, e.suppressed, e.last = e.suppressed, 0, now
	return suppressed, true
}

// entry returns the entry of a key. The caller holds the lock.
func (l *Limiter) entry(now time.Time, key Key) *entry {
	if e := l.keys[key]; e != nil {
		return e
	}
	if l.keys == nil {
		l.keys = make(map[Key]*entry)
	}
	if len(l.keys) >= maxKeys {
		l.forget(now)
	}
	if len(l.keys) >= maxKeys {
		key = Key{Kind: key.Kind} // one entry for all further keys of this kind
		if e := l.keys[key]; e != nil {
			return e
		}
	}
	e := new(entry)
	l.keys[key] = e
	return e
}

// forget drops the entries that no longer limit anything. What they suppressed
// is added to the shared entry of their kind, so that no count is lost. The
// caller holds the lock.
func (l *Limiter) forget(now time.Time) {
	for key, e := range l.keys {
		if key.From == "" || now.Sub(e.last) < Every {
			continue
		}
		delete(l.keys, key)
		if e.suppressed > 0 {
			shared := Key{Kind: key.Kind}
			if l.keys[shared] == nil {
				l.keys[shared] = new(entry)
			}
			l.keys[shared].suppressed += e.suppressed
		}
	}
}
