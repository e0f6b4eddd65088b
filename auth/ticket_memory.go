package auth

import (
	"container/heap"
	"crypto/sha256"
	"slices"
	"time"
)

// digest is what is kept of a ticket instead of itself: whoever reads the memory cannot use it, and comparing it
// tells nothing by its time, because nobody can choose its first bytes.
type digest [sha256.Size]byte

// ticketMemory holds the tickets that are unused, and remembers dead ones until they would have expired. It does not lock.
type ticketMemory struct {
	entries map[digest]*entry
	expiry  expiryHeap          // of all entries
	unused  map[string][]*entry // by subject
	total   int                 // number of unused entries
	dead    int                 // number of dead entries that need not be remembered
}

// entry is a ticket, unused as long as it has a principal.
type entry struct {
	key       digest
	subject   string
	origin    string
	principal *Principal
	expires   time.Time
	cause     TicketCause // why it is dead
	signed    bool        // it must be remembered until it expires
	index     int         // in the heap
	slot      int         // among the unused of its subject
}

const (
	// maxDead bounds the opaque tickets that are remembered only so that the log can tell a second use from an
	// invention. Spent signed tickets do not count: forgetting one would make it good again.
	maxDead = 1 << 16
	// sweepStep is how many expired entries go with each new one. More than one, so that they get fewer, and few,
	// so that nobody waits for the tickets of a rush that is over.
	sweepStep = 8
)

func newTicketMemory() ticketMemory {
	return ticketMemory{entries: make(map[digest]*entry), unused: make(map[string][]*entry)}
}

// put adds an unused ticket, for which room has been made.
func (s *ticketMemory) put(e *entry) {
	s.entries[e.key] = e
	heap.Push(&s.expiry, e)
	e.slot = len(s.unused[e.subject])
	s.unused[e.subject] = append(s.unused[e.subject], e)
	s.total++
}

// spend remembers a signed ticket as dead for a cause. It returns 0, or why it was dead before.
func (s *ticketMemory) spend(key digest, cause TicketCause, expires, now time.Time, limit int) (before TicketCause) {
	if e := s.entries[key]; e != nil {
		return e.cause
	}
	s.sweep(now)
	if len(s.entries) >= limit {
		return TicketNoRoom
	}
	e := &entry{key: key, cause: cause, expires: expires, signed: true}
	s.entries[key] = e
	heap.Push(&s.expiry, e)
	return 0
}

// kill makes an unused ticket dead for ever.
func (s *ticketMemory) kill(e *entry, cause TicketCause) {
	s.retire(e)
	e.principal, e.cause = nil, cause
	if s.dead++; s.dead > maxDead {
		s.remove(e)
	}
}

// killAll makes all unused tickets of a subject dead.
func (s *ticketMemory) killAll(subject string, cause TicketCause) {
	for list := s.unused[subject]; len(list) > 0; list = s.unused[subject] {
		s.kill(list[len(list)-1], cause)
	}
}

// retire takes a ticket from the unused ones.
func (s *ticketMemory) retire(e *entry) {
	list := s.unused[e.subject]
	last := list[len(list)-1]
	list[e.slot], last.slot = last, e.slot
	list[len(list)-1] = nil
	if list = list[:len(list)-1]; len(list) == 0 {
		delete(s.unused, e.subject)
	} else {
		s.unused[e.subject] = list
	}
	s.total--
}

// makeRoom makes sure of room for one more ticket of a subject. If there is none, it returns how long until there is.
func (s *ticketMemory) makeRoom(subject string, perSubject, total int, now time.Time) (wait time.Duration) {
	s.sweep(now)
	if list := s.unused[subject]; len(list) >= perSubject {
		if wait = s.sweepSubject(list, now); wait > 0 {
			return wait
		}
	}
	if s.total < total {
		return 0
	}
	return max(s.expiry[0].expires.Sub(now), time.Second)
}

// sweepSubject removes what has expired among list, or returns how long it takes until something does.
func (s *ticketMemory) sweepSubject(list []*entry, now time.Time) (wait time.Duration) {
	first := list[0].expires
	for _, e := range slices.Clone(list) {
		if e.expires.Before(first) {
			first = e.expires
		}
		if !e.expires.After(now) {
			s.remove(e)
		}
	}
	return max(first.Sub(now), 0)
}

// sweep removes a few entries that have expired.
func (s *ticketMemory) sweep(now time.Time) {
	for range sweepStep {
		if len(s.expiry) == 0 || s.expiry[0].expires.After(now) {
			return
		}
		s.remove(s.expiry[0])
	}
}

// remove forgets an entry.
func (s *ticketMemory) remove(e *entry) {
	switch {
	case e.principal != nil:
		s.retire(e)
	case !e.signed:
		s.dead--
	}
	heap.Remove(&s.expiry, e.index)
	delete(s.entries, e.key)
}

// expiryHeap is a [heap.Interface] with what expires first in front.
type expiryHeap []*entry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].expires.Before(h[j].expires) }

func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push adds an *entry.
func (h *expiryHeap) Push(x any) {
	e := x.(*entry)
	e.index = len(*h)
	*h = append(*h, e)
}

// Pop removes the last one.
func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}
