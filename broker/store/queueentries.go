package store

import (
	"container/heap"
	"iter"
	"slices"
)

// ledgerEntry is one stored message.
type ledgerEntry struct {
	sequence uint64
	share    *ledgerShare // nil: the program
	stored   int64        // Unix milliseconds, 0 if it is not known
	size     uint32
	removed  bool
	expires  bool
}

// insert adds an entry, whose bytes are counted already but for the queue's. The
// caller holds the lock.
func (l *ledger) insert(q *ledgerQueue, e ledgerEntry, expires int64) {
	if expires != 0 {
		e.expires = true
		l.expiring++
		heap.Push(&l.due, dueEntry{expires, q, e.sequence})
	}
	q.live++
	q.bytes += int64(e.size)
	if n := len(q.entries); n == q.head || q.entries[n-1].sequence < e.sequence {
		q.entries = append(q.entries, e)
		return
	}
	at, _ := q.find(e.sequence)
	q.entries = slices.Insert(q.entries, at, e)
}

// find returns the index of the entry with that sequence, or where it would be,
// and whether it exists and is not removed.
func (q *ledgerQueue) find(sequence uint64) (int, bool) {
	list := q.entries[q.head:]
	switch n := len(list); { // messages come at the end, and most go at the front
	case n == 0 || list[n-1].sequence < sequence:
		return q.head + n, false
	case list[0].sequence == sequence:
		return q.head, !list[0].removed
	}
	at, found := slices.BinarySearchFunc(list, sequence, func(e ledgerEntry, s uint64) int {
		switch {
		case e.sequence < s:
			return -1
		case e.sequence > s:
			return 1
		}
		return 0
	})
	return q.head + at, found && !list[at].removed
}

// compact removes removed entries: those in front are skipped at once, and the
// memory of all is freed when they are more than those that are left.
func (q *ledgerQueue) compact() {
	for q.head < len(q.entries) && q.entries[q.head].removed {
		q.head++
	}
	if dead := len(q.entries) - q.live; dead < 32 || dead < q.live {
		return
	}
	kept := q.entries[:0]
	if q.live < cap(q.entries)/4 {
		kept = make([]ledgerEntry, 0, q.live)
	}
	for e := range q.all() {
		kept = append(kept, e)
	}
	q.entries, q.head = kept, 0
}

// all iterates over the entries that are not removed.
func (q *ledgerQueue) all() iter.Seq[ledgerEntry] {
	return func(yield func(ledgerEntry) bool) {
		for _, e := range q.entries[q.head:] {
			if !e.removed && !yield(e) {
				return
			}
		}
	}
}
