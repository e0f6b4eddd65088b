package topics

import (
	"hash/maphash"
	"sync/atomic"
	"unsafe"
)

// key is what a table finds a bag by: a name, in a session where it is private to one.
type key struct{ session, name string }

// hash is unknown to clients, so that they cannot choose names that collide.
func (k key) hash() uint64 {
	h := maphash.String(seed, k.name)
	if k.session != "" {
		h = h*3 + maphash.String(seed, k.session)
	}
	return h
}

// entry is a key that has subscribers. In tables other than an Index's, merged is not used.
//
// A look-up among a hundred thousand entries waits for memory and for little else: each place that it has to read in
// turn costs more than all its instructions. So the characters of a usual key lie in the entry itself, which for up
// to 22 of them is one cache line with everything that a look-up reads. That takes package unsafe, here and for list.
type entry[S comparable] struct {
	bag    bag[S]
	merged atomic.Pointer[merged[S]]
	size   uint8   // of the key's text, session and name in one; or apart
	cut    uint8   // where the name begins
	text   [6]byte // the first characters; the others follow behind the entry
}

// An entry is allocated as the first of these that has room for its key.
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
	// entryApart is for longer keys, whose strings stay the caller's. Its size is apart.
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

// key returns the entry's key. Its strings may be the entry's own memory, which never changes and stays for as long
// as they are used.
func (e *entry[S]) key() key {
	if e.size == apart {
		return (*entryApart[S])(unsafe.Pointer(e)).key
	}
	text := unsafe.String(&e.text[0], e.size)
	return key{text[:e.cut], text[e.cut:]}
}
