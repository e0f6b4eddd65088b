package topics

import (
	"hash/maphash"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
)

// Index finds the subscribers of a destination among any number of subscriptions, literal and by pattern. It does
// what Spring's DefaultSubscriptionRegistry does, whose cache miss scans every subscription. S is what the caller
// knows a subscription by, most often a pointer.
//
// Literal destinations match by string equality: "/topic//a" is not "/topic/a". The Index takes any string and
// keeps those that are subscribed to; what a client sent goes through [Parse] first.
//
// All methods are safe for concurrent use.
type Index[S comparable] struct {
	literals table[S]
	patterns *trie[S]
	// strangers remembers results for destinations without a literal subscriber, each in the one place that its
	// hash gives it: a publisher to ever new destinations cannot make it grow.
	strangers [1024]atomic.Pointer[merged[S]]
}

// merged is what a Match returned, with all that it depended on.
type merged[S comparable] struct {
	destination string // of a stranger; an entry knows its own
	generation  uint64 // of the patterns
	base        []S    // the literal subscribers
	list        []S    // these and the patterns' subscribers
}

// A result is remembered while it holds no more than twice the destination's own subscribers and this many more.
// Were it without bound, ten thousand subscribers of /topic/** would be copied, and kept, for each destination.
const spareMerged = 64

// NewIndex returns an empty Index. It takes about 18 kB.
func NewIndex[S comparable]() *Index[S] {
	return &Index[S]{patterns: newTrie[S]()}
}

// Add subscribes s to a destination, which is a pattern if [IsPattern] says so; one that [Compile] refuses may match
// nothing. Adding the same pair again makes a second subscription. The string may be kept as long as anyone is
// subscribed to it.
func (x *Index[S]) Add(destination string, s S) {
	if IsPattern(destination) {
		x.patterns.add(destination, s)
	} else {
		x.literals.add(key{name: destination}, s)
	}
}

// Remove ends one subscription of s to exactly this destination or pattern, and reports whether there was one.
// A Match that began before may still return s.
func (x *Index[S]) Remove(destination string, s S) bool {
	if IsPattern(destination) {
		return x.patterns.remove(destination, s)
	}
	return x.literals.remove(key{name: destination}, s)
}

// Match returns the subscribers of a destination and of the patterns that match it, in no order: one element for
// each subscription, nil when there is none. The destination is taken literally, even if it contains wildcards.
// The result is a snapshot: do not write to it; it never changes.
//
// Match copies and allocates nothing unless patterns match besides other subscribers; then the list is put
// together once and remembered until any of it changes, or, where patterns bring in far more subscribers than
// the destination has, put together for each call.
func (x *Index[S]) Match(destination string) []S {
	if x.patterns.size.Load() == 0 {
		list, _ := x.literals.get(key{name: destination})
		return list
	}
	generation := x.patterns.generation.Load()
	base, e := x.literals.get(key{name: destination})
	place, name := x.place(destination, e)
	if m := place.Load(); m != nil && m.destination == name && m.generation == generation && same(m.base, base) {
		return m.list
	}
	var room [8][]S
	found := room[:0]
	if e != nil {
		found = append(found, base)
	}
	found, generation = x.patterns.match(destination, found)
	list := join(found)
	if len(list) <= 2*len(base)+spareMerged {
		place.Store(&merged[S]{strings.Clone(name), generation, base, list})
	}
	return list
}

// place returns where the result for a destination is remembered, and the name it bears there.
func (x *Index[S]) place(destination string, e *entry[S]) (*atomic.Pointer[merged[S]], string) {
	if e != nil {
		return &e.merged, ""
	}
	slot := maphash.String(seed, destination) % uint64(len(x.strangers))
	return &x.strangers[slot], destination
}

// Destinations yields each destination and pattern that has subscribers, with the number of its subscriptions, in
// no order. The body may use the Index; what is changed meanwhile may or may not be seen.
func (x *Index[S]) Destinations() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for k, n := range x.literals.counts() {
			if !yield(k.name, n) {
				return
			}
		}
		for pattern, n := range x.patterns.counts() {
			if !yield(pattern, n) {
				return
			}
		}
	}
}

// Len returns the number of subscriptions.
func (x *Index[S]) Len() int { return x.literals.len() + int(x.patterns.size.Load()) }

// same reports whether two snapshots of one bag are the same one, see bag.
func same[S any](a, b []S) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// join returns the concatenation of snapshots, without copying a single one.
func join[S any](lists [][]S) []S {
	switch len(lists) {
	case 0:
		return nil
	case 1:
		return lists[0]
	default:
		return slices.Clip(slices.Concat(lists...))
	}
}
