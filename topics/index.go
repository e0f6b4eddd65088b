package topics

import (
	"hash/maphash"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
)

// Index finds the subscribers of a destination among any number of
// subscriptions, literal and by pattern. It does the work of Spring's
// DefaultSubscriptionRegistry, which scans every subscription on a cache miss.
// S identifies a subscription to the caller and is usually a pointer.
//
// Literal destinations match by string equality: "/topic//a" is not "/topic/a".
// The Index accepts any string and keeps those with subscribers; pass client
// input through [Parse] first.
//
// All methods are safe for concurrent use.
type Index[S comparable] struct {
	literals table[S]
	patterns *trie[S]
	// strangers caches results for destinations without a literal subscriber.
	// The hash of the destination selects one fixed slot, so a publisher that
	// keeps inventing destinations cannot make the cache grow.
	strangers [1024]atomic.Pointer[merged[S]]
	interests interests
}

// merged is a cached result of Match and all that it depends on.
type merged[S comparable] struct {
	destination string // set in strangers only; an entry knows its own
	generation  uint64 // generation of the patterns
	base        []S    // the literal subscribers
	list        []S    // literal and pattern subscribers
}

// spareMerged limits caching: a result is cached if it has at most this many
// subscribers more than twice those of the destination itself. Without a limit,
// the ten thousand subscribers of a /topic/** would be copied and kept for
// every destination.
const spareMerged = 64

// NewIndex returns an empty Index, which takes about 18 kB.
func NewIndex[S comparable]() *Index[S] {
	return &Index[S]{patterns: newTrie[S]()}
}

// Add subscribes s to a destination, or to a pattern if [IsPattern] reports
// one. A pattern that [Compile] refuses may match nothing. Adding the same pair
// again creates a second subscription. The Index may keep the string while the
// destination has subscribers.
//
// With a watcher Add returns a number: the reports up to it include the one that
// covers s, although another goroutine may still be in the call. See
// [Index.Watch].
func (x *Index[S]) Add(destination string, s S) (generation uint64) {
	var changed uint64
	if IsPattern(destination) {
		changed, generation = x.patterns.add(destination, s, &x.interests)
	} else {
		changed, generation = x.literals.put(key{name: destination}, s, false, &x.interests)
	}
	x.interests.report(destination, true, changed)
	return generation
}

// Remove ends one subscription of s to exactly this destination or pattern, and
// reports whether there was one. A Match that began before may still return s.
func (x *Index[S]) Remove(destination string, s S) bool {
	var removed bool
	var changed uint64
	if IsPattern(destination) {
		removed, changed = x.patterns.remove(destination, s, &x.interests)
	} else {
		removed, changed = x.literals.take(key{name: destination}, s, &x.interests)
	}
	x.interests.report(destination, false, changed)
	return removed
}

// Match returns the subscribers of a destination and of all patterns that match
// it, in no particular order: one element per subscription, nil if there are
// none. It takes the destination literally even if it contains wildcards. The
// result is a snapshot: do not write to it; it never changes.
//
// Match copies and allocates only if patterns match in addition to other
// subscribers. It then builds the combined list and caches it until any part
// changes. If the patterns add far more subscribers than the destination has,
// it builds the list for each call instead.
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

// place returns the cache slot for a destination, and the name to store in it.
func (x *Index[S]) place(destination string, e *entry[S]) (*atomic.Pointer[merged[S]], string) {
	if e != nil {
		return &e.merged, ""
	}
	slot := maphash.String(seed, destination) % uint64(len(x.strangers))
	return &x.strangers[slot], destination
}

// Destinations yields each destination and pattern that has subscribers, with
// its number of subscriptions, in no particular order. The body may use the
// Index; changes made during the iteration may or may not be visible.
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

// same reports whether two snapshots of one bag are identical; see bag.
func same[S any](a, b []S) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// join concatenates snapshots. It does not copy if there is only one.
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
