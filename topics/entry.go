package topics

import (
	"hash/maphash"
	"sync/atomic"
	"unsafe"
)

// key identifies a bag in a table: by a name, and by a session if the name is
// private to it.
type key struct{ session, name string }

// hash depends on a random seed, so that clients cannot choose names that
// collide.
func (k key) hash() uint64 {
	h := maphash.String(seed, k.name)
	if k.session != "" {
		h = h*3 + maphash.String(seed, k.session)
	}
	return h
}

// entry is a key that has subscribers. Only an Index uses merged.
//
// With a hundred thousand entries, a look-up spends its time waiting for
// memory: each further place that it reads costs more than all its
// instructions. An entry therefore contains the characters of its key. Up to 22
// of them, one cache line holds everything that a look-up reads. This requires
// package unsafe, here and in list.
type entry[S comparable] struct {
	bag    bag[S]
	merged atomic.Pointer[merged[S]]
	size   uint8   // length of the key's text (session, then name), or apart
	cut    uint8   // where the name begins in the text
	text   [6]byte // the first bytes; the rest follows the entry in memory
}

// Allocation types of an entry. The smallest with room for the key is used.
type (
	entry22[S comparable] struct {
		entry[S]
		_ [22 - 6]byte
	}
	entry38[S comparable] struct {
		entry[S]
		_ [38 - 6]byte
	}
	entry54[S comparable] struct {
		entry[S]
		_ [54 - 6]byte
	}
	// entryApart is for longer keys. It refers to the caller's strings. Its
	// size is apart.
	entryApart[S comparable] struct {
		entry[S]
		key key
	}
)

const apart = 255

func newEntry[S comparable](k key) *entry[S] {
	var e *entry[S]
	size := len(k.session) + len(k.name)
	switch {
	case size <= 22:
		e = &new(entry22[S]).entry
	case size <= 38:
		e = &new(entry38[S]).entry
	case size <= 54:
		e = &new(entry54[S]).entry
	default:
		long := &entryApart[S]{key: k}
		long.size = apart
		return &long.entry
	}
	e.size, e.cut = uint8(size), uint8(len(k.session))
	text := unsafe.Slice(&e.text[0], size)
	copy(text[copy(text, k.session):], k.name)
	return e
}

// key returns the entry's key. Its strings may refer to the entry's own memory,
// which never changes and lives as long as the strings do.
func (e *entry[S]) key() key {
	if e.size == apart {
		return (*entryApart[S])(unsafe.Pointer(e)).key
	}
	text := unsafe.String(&e.text[0], e.size)
	return key{text[:e.cut], text[e.cut:]}
}
