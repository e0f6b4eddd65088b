package topics

import (
	"hash/maphash"
	"sync/atomic"
)

// bag holds the subscribers of one destination, in no order; equal ones may be in it more than once. Adding and
// removing cost the same whether it holds ten or a million.
//
// A snapshot is the bag's own array. The bag never writes where a snapshot can see: adding writes behind the end
// of every snapshot, and removing from an array that was handed out moves on to a new one first. So a snapshot
// costs nothing, and a copy is made at most once for each snapshot that a removal follows. It also means that two
// snapshots with the same address and length have the same contents.
//
// All methods but snapshot need a lock that excludes every other call; snapshots may be taken side by side.
type bag[S comparable] struct {
	items  []S
	places *places[S] // where each item is; nil while searching the items is as fast
	shared atomic.Bool
}

// small is the number of items up to which they are searched one by one.
const small = 32

func (b *bag[S]) snapshot() []S {
	n := len(b.items)
	if n == 0 {
		return nil
	}
	if !b.shared.Load() {
		b.shared.Store(true)
	}
	return b.items[:n:n]
}

func (b *bag[S]) add(s S) {
	if len(b.items) == cap(b.items) {
		b.shared.Store(false) // append is about to move to an array that nobody has seen
	}
	b.items = append(b.items, s)
	switch n := len(b.items); {
	case b.places != nil && 4*n <= 3*len(b.places.slots):
		b.places.put(b.items, n-1)
	case n > small:
		b.places = newPlaces(b.items)
	}
}

// remove takes one s out and reports whether there was one.
func (b *bag[S]) remove(s S) bool {
	i := b.find(s)
	if i < 0 {
		return false
	}
	last := len(b.items) - 1
	if b.places != nil {
		b.places.drop(b.items, i)
		if i != last {
			b.places.move(b.items, last, i)
		}
	}
	if sparse := cap(b.items) > 8 && last < cap(b.items)/4; sparse || b.shared.Load() {
		b.items = append(make([]S, 0, len(b.items)), b.items...)
		b.shared.Store(false)
	}
	b.items[i] = b.items[last]
	clear(b.items[last:])
	b.items = b.items[:last]
	switch {
	case b.places == nil:
	case last <= small/2:
		b.places = nil
	case 8*last < len(b.places.slots):
		b.places = newPlaces(b.items)
	}
	return true
}

// find returns the index of one s, or -1.
func (b *bag[S]) find(s S) int {
	if b.places != nil {
		return b.places.find(b.items, s)
	}
	for i := range b.items {
		if b.items[i] == s {
			return i
		}
	}
	return -1
}

// places finds an item of a large bag by its value: a hash table with linear probing whose slots hold the item's
// index plus one. Five to sixteen bytes an item, where a map would take more than twice as much and could not
// hold equal items.
type places[S comparable] struct {
	slots []uint32
}

// seed is drawn once for the process, so that clients cannot choose names that collide.
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

// move notes that the item at one index is about to be found at another.
func (p *places[S]) move(items []S, from, to int) {
	p.slots[p.slotOf(items, from)] = uint32(to + 1)
}

// drop forgets index i and closes the gap, so that no search stops short at it.
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
