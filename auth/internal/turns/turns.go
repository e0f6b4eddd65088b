// Package turns limits concurrent work, such as checking a passcode or a
// request to a remote server, and divides it fairly. The clients that cause the
// work may not be authenticated, so keys take turns, and no key can get all of
// them.
package turns

import (
	"context"
	"slices"
	"sync"
)

// Limits of [Turns].
type Limits struct {
	// Turns is the maximum number of concurrent turns.
	Turns int
	// Share is the maximum number of concurrent turns of one key.
	Share int
	// Line is the maximum number of waiters of one key.
	Line int
	// Waiting is the maximum number of waiters in all. A further one displaces
	// the last of the longest line.
	Waiting int
}

// Fair returns limits for requests to a server: n turns, of which one key gets
// at most three quarters, or all if n is less than 4.
func Fair(n int) Limits {
	return Limits{Turns: n, Share: n - n/4, Line: 1024, Waiting: 4096}
}

// Turns divides turns among keys, such as the networks of clients. Waiters form
// one line for each key, and the lines are served in rotation. A network that
// asks a thousand times therefore delays another by one turn and not by a
// thousand. All methods are safe for concurrent use.
type Turns[K comparable] struct {
	limits Limits

	mu      sync.Mutex
	free    int
	waiting int
	running map[K]int // turns held by each key
	lines   map[K]*line[K]
	round   []*line[K] // the lines with waiters; the first is served next
}

type line[K comparable] struct {
	key K
	// Each waiter gets a value when it is served, and is closed when it is
	// displaced.
	waiters []chan struct{}
}

// New returns Turns with the given limits, each of which must be positive.
func New[K comparable](l Limits) *Turns[K] {
	return &Turns[K]{limits: l, free: l.Turns, running: make(map[K]int), lines: make(map[K]*line[K])}
}

// Take waits for a turn, which [Turns.Give] ends. It returns false when ctx is
// done, or when too many others wait.
func (t *Turns[K]) Take(ctx context.Context, key K) bool {
	if ctx.Err() != nil {
		return false
	}
	t.mu.Lock()
	if t.free > 0 && t.running[key] < t.limits.Share {
		t.begin(key)
		t.mu.Unlock()
		return true
	}
	turn := t.enter(key)
	t.mu.Unlock()
	if turn == nil {
		return false
	}
	select {
	case _, served := <-turn:
		return served
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.leave(key, turn) {
		return false
	}
	select {
	case _, served := <-turn: // it came at the same moment
		if served {
			t.end(key)
		}
	default:
	}
	return false
}

// Give ends a turn of key.
func (t *Turns[K]) Give(key K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(key)
}

// Usage returns how many turns are taken and how many callers wait.
func (t *Turns[K]) Usage() (taken, waiting int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.limits.Turns - t.free, t.waiting
}

// Limits returns the limits given to New.
func (t *Turns[K]) Limits() Limits { return t.limits }

// begin gives key a free turn. The caller holds the lock.
func (t *Turns[K]) begin(key K) {
	t.free--
	t.running[key]++
}

// end takes back a turn of key and passes it on. The caller holds the lock.
func (t *Turns[K]) end(key K) {
	t.free++
	if t.running[key]--; t.running[key] == 0 {
		delete(t.running, key)
	}
	for t.free > 0 && t.serve() {
	}
}

// serve gives a turn to the first waiter of the next line whose key has less
// than its share, if there is one. The caller holds the lock.
func (t *Turns[K]) serve() bool {
	i := slices.IndexFunc(t.round, func(l *line[K]) bool { return t.running[l.key] < t.limits.Share })
	if i < 0 {
		return false
	}
	l := t.round[i]
	t.round = append(slices.Delete(t.round, i, i+1), l)
	turn := l.waiters[0]
	t.leave(l.key, turn)
	t.begin(l.key)
	turn <- struct{}{} // never blocks: the channel has a buffer
	return true
}

// enter joins the line of a key, or returns nil if there is no room. When too
// many wait in all, the last of the longest line is displaced. The caller holds
// the lock.
func (t *Turns[K]) enter(key K) chan struct{} {
	l := t.lines[key]
	if l != nil && len(l.waiters) >= t.limits.Line {
		return nil
	}
	if t.waiting >= t.limits.Waiting {
		longest := slices.MaxFunc(t.round, func(a, b *line[K]) int { return len(a.waiters) - len(b.waiters) })
		if l == longest || len(longest.waiters) == 1 {
			return nil
		}
		last := longest.waiters[len(longest.waiters)-1]
		t.leave(longest.key, last)
		close(last)
	}
	if l == nil {
		l = &line[K]{key: key}
		t.lines[key] = l
		t.round = append(t.round, l)
	}
	turn := make(chan struct{}, 1)
	l.waiters = append(l.waiters, turn)
	t.waiting++
	return turn
}

// leave removes a waiter from its line and reports whether it was still there.
// The caller holds the lock.
func (t *Turns[K]) leave(key K, turn chan struct{}) bool {
	l := t.lines[key]
	if l == nil {
		return false
	}
	i := slices.Index(l.waiters, turn)
	if i < 0 {
		return false
	}
	l.waiters = slices.Delete(l.waiters, i, i+1)
	t.waiting--
	if len(l.waiters) == 0 {
		delete(t.lines, key)
		t.round = slices.DeleteFunc(t.round, func(o *line[K]) bool { return o == l })
	}
	return true
}
