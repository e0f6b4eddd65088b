package topics

import (
	"hash/maphash"
	"sync/atomic"
	"unsafe"
)

// bag holds the subscribers of one destination, in no particular order and
// possibly with duplicates. The cost of adding and removing does not depend on
// its size.
//
// A snapshot is the bag's own array. The bag never writes where a snapshot can
// see: add writes after the end of every snapshot, and remove copies an array
// first if a snapshot uses it. So a snapshot costs nothing, and each snapshot
// causes at most one copy, at the next removal. As a consequence, two snapshots
// with the same address and length have the same contents.
//
// All methods except snapshot need a lock that excludes every other call.
// Several snapshots may be taken at once.
type bag[S comparable] struct {
	items  list[S]
	places *places[S] // index of each item; nil while a linear search is as fast
	shared atomic.Bool
}

// list is a slice with fewer than 2³² items in two thirds of a slice's space,
// so that an entry fits into a cache line.
type list[S any] struct {
	first    *S
	len, cap uint32
}

func (l *list[S]) slice() []S { return unsafe.Slice(l.first, l.cap)[:l.len] }

func (l *list[S]) set(s []S) { *l = list[S]{unsafe.SliceData(s), uint32(len(s)), uint32(cap(s))} }

// small is the number of items up to which find searches them one by one.
const small = 32

func (b *bag[S]) len() int { return int(b.items.len) }

func (b *bag[S]) snapshot() []S {
	items := b.items.slice()
	if len(items) == 0 {
		return nil
	}
	if !b.shared.Load() {
		b.shared.Store(true)
	}
	return items[:len(items):len(items)]
}

func (b *bag[S]) add(s S) {
	items := b.items.slice()
	if len(items) == cap(items) {
		b.shared.Store(false) // no snapshot uses the new array
		items = append(make([]S, 0, larger(cap(items))), items...)
	}
	items = append(items, s)
	b.items.set(items)
	switch n := len(items); {
	case b.places != nil && 4*n <= 3*len(b.places.slots):
		b.places.put(items, n-1)
	case n > small:
		b.places = newPlaces(items)
	}
}

// larger returns the capacity after the given one: 1, 2, 4, 6, 8, 12, 16, 24
// and so on, later a quarter more each time. That wastes half as much as
// doubling, and for pointers the first ones are size classes of the allocator.
func larger(capacity int) int {
	switch {
	case capacity < 4:
		return max(1, 2*capacity)
	case capacity >= 256:
		return capacity + capacity/4
	case capacity&(capacity-1) == 0:
		return capacity + capacity/2
	default:
		return capacity + capacity/3
	}
}

// remove removes one s and reports whether there was one.
func (b *bag[S]) remove(s S) bool {
	i := b.find(s)
	if i < 0 {
		return false
	}
	items := b.items.slice()
	last := len(items) - 1
	if b.places != nil {
		b.places.drop(items, i)
		if i != last {
			b.places.move(items, last, i)
		}
	}
	if sparse := cap(items) > 8 && last < cap(items)/4; sparse || b.shared.Load() {
		items = append(make([]S, 0, len(items)), items...)
		b.shared.Store(false)
	}
	items[i] = items[last]
	clear(items[last:])
	items = items[:last]
	b.items.set(items)
	switch {
	case b.places == nil:
	case last <= small/2:
		b.places = nil
	case 8*last < len(b.places.slots):
		b.places = newPlaces(items)
	}
	return true
}

// find returns the index of one s, or -1. A linear search begins with the
// latest additions, since old items are seldom removed.
func (b *bag[S]) find(s S) int {
	items := b.items.slice()
	if b.places != nil {
		return b.places.find(items, s)
	}
	for i := len(items) - 1; i >= 0; i-- {
		if items[i] == s {
			return i
		}
	}
	return -1
}

// places finds an item of a large bag by its value. It is a hash table with
// linear probing whose slots hold the index of an item plus one. It takes 5 to
// 16 bytes per item; a map would take more than twice as much and could not
// hold duplicates.
type places[S comparable] struct {
	slots []uint32
}

// seed is chosen once per process, so that clients cannot choose names that
// collide.
var seed = maphash.MakeSeed()

func newPlaces[S comparable](items []S) *places[S] {
	size := 2 * small
	for size < 2*len(items) {
		size *= 2
	}
	p := &places[S]{slots: make([]uint32, size)}
	for i := range items {
		p.put(items, i)
	}
	return p
}

// home returns the slot where the search for s begins.
func (p *places[S]) home(s S) int {
	return int(maphash.Comparable(seed, s) & uint64(len(p.slots)-1))
}

func (p *places[S]) next(slot int) int { return (slot + 1) & (len(p.slots) - 1) }

func (p *places[S]) put(items []S, i int) {
	slot := p.home(items[i])
	for p.slots[slot] != 0 {
		slot = p.next(slot)
	}
	p.slots[slot] = uint32(i + 1)
}

func (p *places[S]) find(items []S, s S) int {
	for slot := p.home(s); p.slots[slot] != 0; slot = p.next(slot) {
		if i := int(p.slots[slot] - 1); items[i] == s {
			return i
		}
	}
	return -1
}

// slotOf returns the slot that holds index i.
func (p *places[S]) slotOf(items []S, i int) int {
	slot := p.home(items[i])
	for p.slots[slot] != uint32(i+1) {
		slot = p.next(slot)
	}
	return slot
}

// move changes the index of an item, which the caller is about to move.
func (p *places[S]) move(items []S, from, to int) {
	p.slots[p.slotOf(items, from)] = uint32(to + 1)
}

// drop removes index i and closes the gap, so that no search ends there too
// early.
func (p *places[S]) drop(items []S, i int) {
	gap := p.slotOf(items, i)
	for slot := p.next(gap); p.slots[slot] != 0; slot = p.next(slot) {
		home := p.home(items[p.slots[slot]-1])
		if mask := len(p.slots) - 1; (slot-home)&mask >= (slot-gap)&mask {
			p.slots[gap] = p.slots[slot]
			gap = slot
		}
	}
	p.slots[gap] = 0
}
