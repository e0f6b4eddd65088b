package topics

import (
	"hash/maphash"
	"iter"
	"sync"
)

// shardCount spreads the locks, so that those who change different destinations rarely meet. A power of two.
const shardCount = 64

// table maps keys to bags of subscribers, under sharded locks. Each method holds one shard's lock at most. The zero
// value is empty.
type table[K, S comparable] struct {
	shards [shardCount]shard[K, S]
}

type shard[K, S comparable] struct {
	mu      sync.RWMutex
	entries elastic[K, *entry[S]]
	size    int      // items in all entries
	_       [64]byte // no two shards' locks in one cache line
}

func (t *table[K, S]) shard(key K) *shard[K, S] {
	return &t.shards[maphash.Comparable(seed, key)%shardCount]
}

// add puts s into the key's bag. The key is kept while the bag is not empty.
func (t *table[K, S]) add(key K, s S) { t.shard(key).add(key, s, false) }

// addOnce is add unless s is there already.
func (t *table[K, S]) addOnce(key K, s S) { t.shard(key).add(key, s, true) }

// remove takes one s out of the key's bag and reports whether there was one.
func (t *table[K, S]) remove(key K, s S) bool { return t.shard(key).remove(key, s) }

// get returns a snapshot of the key's bag and the entry that it is in, both nil when there is none.
func (t *table[K, S]) get(key K) ([]S, *entry[S]) {
	h := t.shard(key)
	h.mu.RLock()
	defer h.mu.RUnlock()
	e := h.entries.all[key]
	if e == nil {
		return nil, nil
	}
	return e.bag.snapshot(), e
}

// len counts the items of all bags.
func (t *table[K, S]) len() int {
	n := 0
	for i := range t.shards {
		h := &t.shards[i]
		h.mu.RLock()
		n += h.size
		h.mu.RUnlock()
	}
	return n
}

// counts yields each key with the number of items in its bag. No lock is held while it yields, so that the body
// may change the table; what is changed meanwhile may or may not be seen.
func (t *table[K, S]) counts() iter.Seq2[K, int] {
	type count struct {
		key K
		n   int
	}
	return func(yield func(K, int) bool) {
		var found []count
		for i := range t.shards {
			h := &t.shards[i]
			found = found[:0]
			h.mu.RLock()
			for key, e := range h.entries.all {
				found = append(found, count{key, len(e.bag.items)})
			}
			h.mu.RUnlock()
			for _, c := range found {
				if !yield(c.key, c.n) {
					return
				}
			}
		}
	}
}

func (h *shard[K, S]) add(key K, s S, once bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entries.all[key]
	if e == nil {
		e = &entry[S]{}
		h.entries.set(key, e)
	} else if once && e.bag.find(s) >= 0 {
		return
	}
	e.bag.add(s)
	h.size++
}

func (h *shard[K, S]) remove(key K, s S) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.entries.all[key]
	if e == nil || !e.bag.remove(s) {
		return false
	}
	h.size--
	if len(e.bag.items) == 0 {
		h.entries.delete(key)
	}
	return true
}
