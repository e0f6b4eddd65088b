package broker

import (
	"container/list"
	"math"
	"sync"
	"time"
)

// replayBudget bounds the bytes of history that wait in the outboxes of all
// sessions, see Limits.ReplayBytes. A replay that finds it used up waits for its
// turn: those of sessions that have read what they got come after those that
// wait, so all get the same. Who has its turn gets at least one message, however
// large.
//
// Clients that do not read could hold the whole budget. If nothing was given
// back for [stuckAfter], the next replay gets its turn nevertheless.
type replayBudget struct {
	b *Broker

	mu      sync.Mutex
	taken   int64     // bytes in outboxes
	extra   int64     // if more than the limit: the limit while clients do not read
	waiting list.List // of *replay
	moved   bool      // a replay has had its turn since the timer was set
	timing  bool      // the timer is set
}

// stuckAfter is the time after which clients that do not read give others their
// turn. A client that reads takes its share of the budget in less.
const stuckAfter = 100 * time.Millisecond

// admits reports whether r may add to its outbox now. If so, the caller calls
// take. If not, r resumes when it has its turn.
func (g *replayBudget) admits(r *replay) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.turns {
		r.turns = false
		return true
	}
	if g.waiting.Len() == 0 && g.room() {
		return true
	}
	if r.place == nil {
		r.place = g.waiting.PushBack(r)
		g.watch()
	}
	return false
}

// room reports whether the budget is not used up. The caller holds the lock.
func (g *replayBudget) room() bool {
	limit := int64(g.b.policy.Load().limits.ReplayBytes)
	if g.taken < limit {
		g.extra = 0
	}
	return g.taken < max(limit, g.extra)
}

// take counts n bytes that were added to an outbox, or will be at once.
func (g *replayBudget) take(n int) { g.change(int64(n)) }

// give counts n bytes that have been written or dropped.
func (g *replayBudget) give(n uint32) {
	if n > 0 {
		g.change(-int64(n))
	}
}

// change counts bytes. If there is room then, the next replay has its turn. It
// calls take in the end, so one turn after the other begins as long as there is
// room.
func (g *replayBudget) change(n int64) {
	g.mu.Lock()
	g.taken += n
	next := g.next()
	g.mu.Unlock()
	next.wake()
}

// next returns the replay that has its turn now, nil if none has. The caller
// holds the lock, releases it and calls wake.
func (g *replayBudget) next() *replay {
	if g.waiting.Len() == 0 || !g.room() {
		return nil
	}
	r := g.waiting.Remove(g.waiting.Front()).(*replay)
	r.place, r.turns, g.moved = nil, true, true
	return r
}

// pass gives the turn of r to the next one, because r cannot use it now.
func (g *replayBudget) pass(r *replay) {
	g.mu.Lock()
	var next *replay
	if r.turns {
		r.turns = false
		next = g.next()
	}
	g.mu.Unlock()
	next.wake()
}

// leave ends the waiting of r, which is over.
func (g *replayBudget) leave(r *replay) {
	g.mu.Lock()
	if r.place != nil {
		g.waiting.Remove(r.place)
		r.place = nil
	}
	g.mu.Unlock()
	g.pass(r)
}

// watch sets the timer. The caller holds the lock.
func (g *replayBudget) watch() {
	if !g.timing {
		g.timing, g.moved = true, false
		time.AfterFunc(stuckAfter, g.stuck)
	}
}

// stuck gives a replay its turn if none has had one for a while.
func (g *replayBudget) stuck() {
	g.mu.Lock()
	g.timing = false
	var next *replay
	if g.waiting.Len() > 0 {
		if !g.moved {
			g.extra = g.taken + 1
			next = g.next()
		}
		g.watch()
	}
	g.mu.Unlock()
	next.wake()
}

// wake resumes a replay that has its turn. r may be nil.
func (r *replay) wake() {
	if r != nil {
		r.Resume(nil)
	}
}

// charge counts n bytes of history that are about to be added to the outbox.
func (o *outbox) charge(n int) {
	o.mu.Lock()
	if o.closed { // nothing will be added
		n = 0
	}
	n = min(n, math.MaxInt32-int(o.charged))
	o.charged += uint32(n)
	o.mu.Unlock()
	o.s.b.budget.take(n)
}

// uncharge gives back what was charged if nothing waits in the outbox, or if
// the session has ended.
func (o *outbox) uncharge(ended bool) {
	o.mu.Lock()
	n := uint32(0)
	if o.bytes == 0 || ended {
		n, o.charged = o.charged, 0
	}
	o.mu.Unlock()
	o.s.b.budget.give(n)
}
