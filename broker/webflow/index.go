package webflow

import (
	"hash/maphash"
	"iter"
)

// An index finds records or operations by their webSocketId. It is a map whose
// keys are hashes: the ids are long, so a map of strings would spend most of its
// time on hashing them again whenever it grows, and would take 11 bytes more for
// each.
type index[T interface{ id() string }] struct {
	hash    func(id string) uint64
	byHash  map[uint64]T
	collide map[string]T // those whose hash another one in byHash has, or had
}

func newIndex[T interface{ id() string }]() index[T] {
	seed := maphash.MakeSeed()
	return index[T]{
		hash:    func(id string) uint64 { return maphash.String(seed, id) },
		byHash:  make(map[uint64]T),
		collide: make(map[string]T),
	}
}

// get returns the entry with this id, or nil.
func (x *index[T]) get(id string) T {
	if v, ok := x.byHash[x.hash(id)]; ok && v.id() == id {
		return v
	}
	return x.collide[id] // nearly always empty
}

// put adds an entry, or replaces the one with its id.
func (x *index[T]) put(v T) {
	id := v.id()
	h := x.hash(id)
	if other, ok := x.byHash[h]; ok && other.id() != id {
		x.collide[id] = v
		return
	}
	delete(x.collide, id)
	x.byHash[h] = v
}

// remove removes the entry with this id, if there is one.
func (x *index[T]) remove(id string) {
	h := x.hash(id)
	if v, ok := x.byHash[h]; ok && v.id() == id {
		delete(x.byHash, h)
		return
	}
	delete(x.collide, id)
}

func (x *index[T]) size() int { return len(x.byHash) + len(x.collide) }

// all iterates over the entries, in no particular order.
func (x *index[T]) all() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, v := range x.byHash {
			if !yield(v) {
				return
			}
		}
		for _, v := range x.collide {
			if !yield(v) {
				return
			}
		}
	}
}

func (x *index[T]) clear() {
	clear(x.byHash)
	clear(x.collide)
}
