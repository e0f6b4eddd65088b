// Package turns shares out work of which only so much may go on at one time: the
// check of a passcode, a request to a server of somebody else. Who asks for it
// may be a stranger, so the turns go round among those who ask, and nobody has
// all of them.
package turns

import (
	"context"
	"slices"
	"sync"
)

// Limits of [Turns].
type Limits struct {
	// Turns is how many there are.
	Turns int
	// Share is how many of them one key may have at one time.
	Share int
	// Line is how many of one key may wait for a turn.
	Line int
	// Waiting is how many may wait, all together. Beyond it the last of the longest
	// line makes room.
	Waiting int
}

// Fair returns limits for requests to a server: n turns, of which one key has at
// most three quarters, and if n is less than 4 all.
func Fair(n int) Limits {
	return Limits{Turns: n, Share: n - n/4, Line: 1024, Waiting: 4096}
}

// Turns are shared out among keys, such as the networks of clients. Those who wait
// stand in one line for each key, and the lines are served in turn, so that a
// network that asks a thousand times delays another's by one turn and not by a
// thousand. All methods are safe for concurrent use.
type Turns[K comparable] struct {
	limits Limits

	mu      sync.Mutex
	free    int
	waiting int
	running map[K]int // turns that each key has
	lines   map[K]*line[K]
	round   []*line[K] // those with somebody in them; the first is served next
}

type line[K comparable] struct {
	key     K
	waiters []chan struct{} // each gets a value when it is served, and is closed when it is pushed out
}

// New returns Turns within limits, each of which must be positive.
func New[K comparable](l Limits) *Turns[K] {
	return &Turns[K]{limits: l, free: l.Turns, running: make(map[K]int), lines: make(map[K]*line[K])}
}

// Take waits for a turn, which [Turns.Give] ends. It reports false when ctx is
// done, or when too many wait already.
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

// Usage returns how many turns are taken and how many wait for one.
func (t *Turns[K]) Usage() (taken, waiting int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.limits.Turns - t.free, t.waiting
}

// Limits returns what New was given.
func (t *Turns[K]) Limits() Limits { return t.limits }

// begin gives key a turn that is free. The caller has the lock.
func (t *Turns[K]) begin(key K) {
	t.free--
	t.running[key]++
}

// end takes a turn of key back and passes it on. The caller has the lock.
func (t *Turns[K]) end(key K) {
	t.free++
	if t.running[key]--; t.running[key] == 0 {
		delete(t.running, key)
	}
	for t.free > 0 && t.serve() {
	}
}

// serve hands a turn to the first of the next line whose key has less than its
// share, if there is one. The caller has the lock.
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
	turn <- struct{}{} // there is room
	return true
}

// enter joins the line of a key, or returns nil. When too many wait in all, the
// last of the longest line makes room. The caller has the lock.
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

// leave takes a waiter out of its line and reports whether it was still there. The
// caller has the lock.
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
