package auth

import (
	"container/heap"
	"crypto/sha256"
	"slices"
	"strings"
	"time"
)

// digest is kept instead of the ticket. Anyone who reads the memory cannot use
// it, and the time of a comparison reveals nothing, because nobody can choose
// its first bytes.
type digest [sha256.Size]byte

// ticketMemory holds unused tickets, and remembers dead ones until they would
// have expired. It does no locking.
type ticketMemory struct {
	entries map[digest]*entry
	expiry  expiryHeap          // of all entries
	unused  map[string][]*entry // by subject
	total   int                 // number of unused entries
	dead    int                 // number of dead entries that may be forgotten
}

// entry is a ticket. It is unused while it has a principal.
type entry struct {
	key       digest
	subject   string
	origin    string
	principal *Principal
	expires   time.Time
	cause     TicketCause // why the ticket is dead
	signed    bool        // must be remembered until it expires
	index     int         // in the heap
	slot      int         // in the subject's list of unused tickets
}

// user returns the user of the ticket. A backend without a name has none.
func (e *entry) user() string {
	if strings.HasPrefix(e.subject, "\x00") {
		return ""
	}
	return e.subject
}

const (
	// maxDead limits the opaque tickets that are remembered only so that the
	// log can distinguish a second use from an invented ticket. Used signed
	// tickets do not count: forgetting one would make it valid again.
	maxDead = 1 << 16
	// sweepStep is how many expired entries each new entry removes. More than
	// one makes their number fall; a small number keeps each call short after a
	// burst of tickets.
	sweepStep = 8
)

func newTicketMemory() ticketMemory {
	return ticketMemory{entries: make(map[digest]*entry), unused: make(map[string][]*entry)}
}

// put adds an unused ticket. The caller has made room for it.
func (s *ticketMemory) put(e *entry) {
	s.entries[e.key] = e
	heap.Push(&s.expiry, e)
	e.slot = len(s.unused[e.subject])
	s.unused[e.subject] = append(s.unused[e.subject], e)
	s.total++
}

// spend remembers a signed ticket as dead with the given cause. It returns 0,
// or the cause if the ticket was already dead.
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

// kill makes an unused ticket permanently invalid.
func (s *ticketMemory) kill(e *entry, cause TicketCause) {
	s.retire(e)
	e.principal, e.cause = nil, cause
	if s.dead++; s.dead > maxDead {
		s.remove(e)
	}
}

// killAll makes all unused tickets of a subject invalid.
func (s *ticketMemory) killAll(subject string, cause TicketCause) {
	for list := s.unused[subject]; len(list) > 0; list = s.unused[subject] {
		s.kill(list[len(list)-1], cause)
	}
}

// retire removes a ticket from the unused ones.
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

// makeRoom makes room for one more ticket of a subject. If it cannot, it
// returns how long the caller must wait.
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

// sweepSubject removes the expired entries of list. It returns how long to wait
// for the first of the others to expire, or 0 if it removed any.
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

// expiryHeap is a [heap.Interface] ordered by expiry, earliest first.
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

// Pop removes and returns the last entry.
func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}
