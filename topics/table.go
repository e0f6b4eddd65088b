package topics

import (
	"iter"
	"sync"
)

// shardCount is the number of locks, a power of two. Changes to different
// destinations seldom use the same lock.
const shardCount = 64

// table maps keys to bags of subscribers, under sharded locks. No method holds
// more than one shard's lock. The zero value is empty.
type table[S comparable] struct {
	shards [shardCount]shard[S]
}

type shard[S comparable] struct {
	mu    sync.RWMutex
	cells cells[S]
	size  int      // number of items in all entries
	_     [32]byte // keeps the locks of two shards in different cache lines
}

func (t *table[S]) shard(hash uint64) *shard[S] { return &t.shards[hash%shardCount] }

// add adds s to the key's bag.
func (t *table[S]) add(k key, s S) { t.put(k, s, false, nil) }

// addOnce adds s to the key's bag unless it is there already.
func (t *table[S]) addOnce(k key, s S) { t.put(k, s, true, nil) }

// put adds s to the key's bag. It returns the number of the change if the bag
// is new, and else 0, and the number of the latest change then.
func (t *table[S]) put(k key, s S, once bool, n *interests) (changed, current uint64) {
	hash := k.hash()
	h := t.shard(hash)
	h.mu.Lock()
	defer h.mu.Unlock()
	var e *entry[S]
	if i := h.cells.find(hash, k); i < 0 {
		e = newEntry[S](k)
		h.cells.put(hash, e)
		changed = n.change()
	} else if e = h.cells.slots[i]; once && e.bag.find(s) >= 0 {
		return 0, n.current()
	}
	e.bag.add(s)
	h.size++
	return changed, n.current()
}

// remove removes one s from the key's bag and reports whether there was one.
func (t *table[S]) remove(k key, s S) bool {
	removed, _ := t.take(k, s, nil)
	return removed
}

// take is remove. It returns the number of the change if the bag is empty, and
// else 0.
func (t *table[S]) take(k key, s S, n *interests) (removed bool, changed uint64) {
	hash := k.hash()
	h := t.shard(hash)
	h.mu.Lock()
	defer h.mu.Unlock()
	i := h.cells.find(hash, k)
	if i < 0 {
		return false, 0
	}
	b := &h.cells.slots[i].bag
	if !b.remove(s) {
		return false, 0
	}
	h.size--
	if b.len() == 0 {
		h.cells.drop(i)
		changed = n.change()
	}
	return true, changed
}

// get returns a snapshot of the key's bag and its entry, or nil for both.
func (t *table[S]) get(k key) ([]S, *entry[S]) {
	hash := k.hash()
	h := t.shard(hash)
	h.mu.RLock()
	defer h.mu.RUnlock()
	i := h.cells.find(hash, k)
	if i < 0 {
		return nil, nil
	}
	e := h.cells.slots[i]
	return e.bag.snapshot(), e
}

// len returns the number of items in all bags.
func (t *table[S]) len() int {
	n := 0
	for i := range t.shards {
		h := &t.shards[i]
		h.mu.RLock()
		n += h.size
		h.mu.RUnlock()
	}
	return n
}

// counts yields each key with the number of items in its bag. It holds no lock
// while it yields, so the body may change the table; such changes may or may
// not be visible.
func (t *table[S]) counts() iter.Seq2[key, int] {
	type count struct {
		key key
		n   int
	}
	return func(yield func(key, int) bool) {
		var found []count
		for i := range t.shards {
			h := &t.shards[i]
			found = found[:0]
			h.mu.RLock()
			for _, e := range h.cells.slots {
				if e != nil {
					found = append(found, count{e.key(), e.bag.len()})
				}
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
