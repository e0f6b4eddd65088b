package dedup

import (
	"hash/maphash"
	"strconv"
	"sync"
	"time"
)

// Length is how long an id is remembered at least.
const Length = 2 * time.Minute

const (
	parts = 4 // a generation lasts a quarter of the window
	step  = Length / parts
)

// Cost is the memory for one id, in bytes, with the bookkeeping for its owner.
const Cost = 160

// Limits are the largest numbers of ids that a window remembers: of all owners,
// and of each.
type Limits struct{ IDs, IDsPerOwner int }

// FullError says that no more ids can be remembered.
type FullError struct {
	Max   int
	Owner bool // it is the limit for each owner
}

// Error names the limit.
func (e *FullError) Error() string {
	text := "more than " + strconv.Itoa(e.Max) + " ids of messages within " + Length.String()
	if e.Owner {
		text += " from one user"
	}
	return text
}

// Window remembers ids. Create one with [New]. All methods are safe for
// concurrent use.
type Window struct {
	seed maphash.Seed

	mu          sync.Mutex
	generations []map[Key]entry // the newest first; none while nothing is remembered
	ids         int
	owners      map[uint64]int // number of ids by owner
	timer       *time.Timer    // nil while nothing is remembered
	closed      bool
}

// entry is a remembered id.
type entry struct {
	owner   uint64
	attempt *Attempt // nil once the message was accepted
}

// New returns an empty window.
func New() *Window { return &Window{seed: maphash.MakeSeed()} }

// Begin starts an attempt to have a message accepted; the caller must end it.
// If the message was accepted before, or another attempt has not ended, Begin
// returns that earlier attempt instead. The owner is the user whose share the
// id counts against, "" for none. The error is a *[FullError].
func (w *Window) Begin(k Key, owner string, l Limits) (first, earlier *Attempt, err error) {
	var o uint64
	if owner != "" {
		o = maphash.String(w.seed, owner) | 1
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if e, found := w.find(k); found {
		if e.attempt == nil {
			return nil, accepted, nil
		}
		return nil, e.attempt, nil
	}
	switch {
	case w.ids >= l.IDs:
		return nil, nil, &FullError{Max: l.IDs}
	case o != 0 && w.owners[o] >= l.IDsPerOwner:
		return nil, nil, &FullError{Max: l.IDsPerOwner, Owner: true}
	}
	a := &Attempt{w: w, key: k, owner: o}
	w.add(k, entry{o, a})
	return a, nil, nil
}

// Remember adds a message that was accepted some time ago, by another window. It
// counts against no share, and against no limit of its own.
func (w *Window) Remember(k Key, ago time.Duration) {
	if ago < 0 {
		ago = 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, found := w.find(k); found || ago >= Length || w.closed {
		return
	}
	w.begin()
	for n := int(ago / step); len(w.generations) <= n; {
		w.generations = append(w.generations, make(map[Key]entry))
	}
	w.generations[int(ago/step)][k] = entry{}
	w.ids++
}

// Known reports whether a message was accepted, or is being accepted.
func (w *Window) Known(k Key) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, found := w.find(k)
	return found
}

// Len returns the number of remembered ids.
func (w *Window) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ids
}

// Close forgets everything and stops the timer. Attempts may still end.
func (w *Window) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.generations, w.owners, w.ids = nil, nil, 0
	if w.timer != nil {
		w.timer.Stop()
	}
}

func (w *Window) find(k Key) (e entry, found bool) {
	for _, g := range w.generations {
		if e, found = g[k]; found {
			return e, true
		}
	}
	return entry{}, false
}

// add remembers an id in the newest generation.
func (w *Window) add(k Key, e entry) {
	if w.closed {
		return
	}
	w.begin()
	w.generations[0][k] = e
	w.ids++
	if e.owner != 0 {
		w.owners[e.owner]++
	}
}

// begin makes the first generation, if there is none.
func (w *Window) begin() {
	if w.generations != nil {
		return
	}
	w.generations = []map[Key]entry{make(map[Key]entry)}
	w.owners = make(map[uint64]int)
	w.timer = time.AfterFunc(step, w.rotate)
}

// settle replaces an attempt that has ended by the id that remains of it, if
// any. The window begins anew: it counts from the acceptance.
func (w *Window) settle(a *Attempt) {
	for _, g := range w.generations {
		if e, found := g[a.key]; found && e.attempt == a {
			delete(g, a.key)
			w.release(a.owner, 1)
			break
		}
	}
	if a.err == nil {
		w.add(a.key, entry{owner: a.owner})
	}
}

// release counts ids of an owner that are no longer remembered.
func (w *Window) release(owner uint64, n int) {
	w.ids -= n
	if owner == 0 {
		return
	}
	if w.owners[owner] -= n; w.owners[owner] <= 0 {
		delete(w.owners, owner)
	}
}

// rotate begins a generation and drops the oldest one. It counts what it drops
// without holding the lock.
func (w *Window) rotate() {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	var dropped map[Key]entry
	if last := len(w.generations) - 1; last == parts {
		dropped = w.generations[last]
		w.generations = w.generations[:last]
	}
	w.generations = append([]map[Key]entry{make(map[Key]entry)}, w.generations...)
	w.timer.Reset(step)
	w.mu.Unlock()

	counts := make(map[uint64]int)
	for _, e := range dropped {
		counts[e.owner]++
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	for owner, n := range counts {
		w.release(owner, n)
	}
	if w.ids == 0 {
		w.timer.Stop()
		w.generations, w.owners, w.timer = nil, nil, nil // a map never shrinks
	}
}
