package topics

import "sync/atomic"

// Interest reports that a shared destination or pattern has got its first
// subscriber, or has lost its last. A cluster tells other nodes of it, so that
// they send what is published there.
type Interest struct {
	Destination string // as in Add or Subscribe
	Wanted      bool   // true for the first subscriber, false after the last
	// Generation numbers the reports of one Index: 1, 2, 3, without gaps.
	Generation uint64
}

// interests numbers and reports the changes of an Index.
type interests struct {
	watch func(Interest) // nil if nobody watches
	last  atomic.Uint64
}

// change numbers a change. The caller holds the lock that guards the
// subscribers of the destination, so the numbers of one destination have the
// order of its changes.
func (n *interests) change() uint64 {
	if n == nil || n.watch == nil {
		return 0
	}
	return n.last.Add(1)
}

// current is the number of the latest change.
func (n *interests) current() uint64 {
	if n == nil || n.watch == nil {
		return 0
	}
	return n.last.Load()
}

// report calls the watcher, if generation is the number of a change. The caller
// holds no lock.
func (n *interests) report(destination string, wanted bool, generation uint64) {
	if generation != 0 {
		n.watch(Interest{destination, wanted, generation})
	}
}

// Watch has f called when a destination or pattern gets its first subscriber or
// loses its last. Call Watch once, before the first Add. Without it nothing is
// counted.
//
// The goroutine that calls Add or Remove calls f, before they return and
// without a lock, so f may use the Index, and a slow f delays this goroutine
// only. Several may call f at once, so two reports about one destination can
// arrive in the wrong order: the one with the higher Generation is true.
// Because the numbers have no gaps, f can tell when all reports up to a number
// have arrived.
func (x *Index[S]) Watch(f func(Interest)) { x.interests.watch = f }

// Watch has f called when a topic, a queue or a pattern of these gets its first
// subscriber or loses its last, as [Index.Watch] does. Call it once, before the
// first Subscribe. Private destinations are not reported.
func (r *Router[S]) Watch(f func(Interest)) { r.shared.Watch(f) }
