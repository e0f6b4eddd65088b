package ticket

import (
	"container/heap"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/internal/weight"
)

// Memory is a [Store] in memory, for one process: a ticket is single-use within
// one Memory. It holds unused tickets, and remembers used ones until they would
// have expired. It cannot know which signed tickets an earlier process has seen
// used, so it accepts none that was created before it.
//
// [Options] limit its size. New entries remove a few outdated ones each; there
// is no goroutine. It is safe for concurrent use. Create it with [NewMemory];
// the zero value is not ready.
type Memory struct {
	born time.Time

	mu       sync.Mutex
	entries  map[Key]*entry
	expiry   expiryHeap          // of all entries
	unused   map[string][]*entry // by subject
	total    int                 // number of unused entries
	bytes    int64               // of their principals
	dead     int                 // number of dead entries that may be forgotten
	followed map[*auth.Revocations]bool
}

// entry is a ticket. It is unused while its Record has a Principal.
type entry struct {
	Record
	cause  Cause // why the ticket is dead
	signed bool  // must be remembered until it expires
	bytes  int64 // of the principal, while it is unused
	index  int   // in the heap
	slot   int   // in the subject's list of unused tickets
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

// NewMemory returns an empty Memory.
func NewMemory() *Memory {
	return &Memory{
		born: auth.Now(), entries: make(map[Key]*entry), unused: make(map[string][]*entry), followed: make(map[*auth.Revocations]bool),
	}
}

// Put implements [Store].
func (m *Memory) Put(ctx context.Context, r Record, l Limits) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries[r.Key] != nil {
		return Used
	}
	e := &entry{Record: r, bytes: weigh(r.Principal)}
	if wait := m.makeRoom(e, l, auth.Now()); wait > 0 {
		return &FullError{RetryAfter: wait}
	}
	m.entries[e.Key] = e
	heap.Push(&m.expiry, e)
	e.slot = len(m.unused[e.Subject])
	m.unused[e.Subject] = append(m.unused[e.Subject], e)
	m.total++
	m.bytes += e.bytes
	return nil
}

// Take implements [Store].
func (m *Memory) Take(ctx context.Context, key Key) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[key]
	if e == nil {
		return Record{}, Unknown
	}
	if e.Principal == nil {
		return Record{Subject: e.Subject}, e.cause
	}
	r := e.Record
	if !auth.Now().Before(r.Expires) {
		m.kill(e, Expired)
		return Record{Subject: r.Subject}, Expired
	}
	m.kill(e, Used)
	return r, nil
}

// Spend implements [Store].
func (m *Memory) Spend(ctx context.Context, u Use, l Limits) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := auth.Now()
	switch {
	case u.Created.Before(m.born):
		return TooOld
	case !now.Before(u.Expires):
		return Expired // it stays expired, so nothing needs to be remembered
	case m.entries[u.Key] != nil:
		return Used
	}
	m.sweep(now)
	if len(m.entries) >= l.Outstanding {
		return NoRoom
	}
	e := &entry{Record: Record{Key: u.Key, Expires: u.Expires}, cause: Used, signed: true}
	m.entries[e.Key] = e
	heap.Push(&m.expiry, e)
	return nil
}

// follow removes tickets that the revocations have made invalid, so that they
// take no room. Whether a ticket is valid does not depend on it.
func (m *Memory) follow(revocations *auth.Revocations) {
	m.mu.Lock()
	first := !m.followed[revocations]
	m.followed[revocations] = true
	m.mu.Unlock()
	if first {
		revocations.Watch(func(e auth.Event) { m.drop(e.User, e.Source, e.Epoch) })
	}
}

// drop makes the unused tickets of a user invalid that are of an older epoch.
func (m *Memory) drop(user, source string, epoch uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range slices.Clone(m.unused[user]) {
		if e.Source == source && e.Epoch < epoch {
			m.kill(e, Revoked)
		}
	}
}

// kill makes an unused ticket permanently invalid.
func (m *Memory) kill(e *entry, cause Cause) {
	m.retire(e)
	e.Principal, e.cause = nil, cause
	if m.dead++; m.dead > maxDead {
		m.remove(e)
	}
}

// retire removes a ticket from the unused ones.
func (m *Memory) retire(e *entry) {
	list := m.unused[e.Subject]
	last := list[len(list)-1]
	list[e.slot], last.slot = last, e.slot
	list[len(list)-1] = nil
	if list = list[:len(list)-1]; len(list) == 0 {
		delete(m.unused, e.Subject)
	} else {
		m.unused[e.Subject] = list
	}
	m.total--
	m.bytes -= e.bytes
}

// makeRoom makes room for a ticket. If it cannot, it returns how long the
// caller must wait.
func (m *Memory) makeRoom(e *entry, l Limits, now time.Time) (wait time.Duration) {
	m.sweep(now)
	if list := m.unused[e.Subject]; len(list) >= l.PerSubject || !fits(e, list, l.SubjectBytes) {
		if len(list) > 0 {
			if wait = m.sweepSubject(list, now); wait > 0 {
				return wait
			}
		}
		if !fits(e, m.unused[e.Subject], l.SubjectBytes) { // what is gone was small
			return time.Second
		}
	}
	if m.total < l.Outstanding && e.bytes <= l.Bytes-m.bytes {
		return 0
	}
	if len(m.expiry) == 0 { // it never fits
		return time.Second
	}
	return max(m.expiry[0].Expires.Sub(now), time.Second)
}

// fits reports whether a subject with these unused tickets may have e, too.
func fits(e *entry, unused []*entry, most int64) bool {
	if most == math.MaxInt64 {
		return true
	}
	bytes := e.bytes
	for _, other := range unused {
		bytes += other.bytes
	}
	return bytes <= most
}

// weigh returns the memory of what a principal consists of, in bytes. Tickets
// that share it count it each: one of them may be the last that keeps it.
func weigh(p *auth.Principal) int64 {
	return int64(len(p.Name)) + weight.Of(p.Claims) + weight.Texts(p.Roles) + weight.Texts(p.Scopes)
}

// sweepSubject removes the expired entries of list. It returns how long to wait
// for the first of the others to expire, or 0 if it removed any.
func (m *Memory) sweepSubject(list []*entry, now time.Time) (wait time.Duration) {
	first := list[0].Expires
	for _, e := range slices.Clone(list) {
		if e.Expires.Before(first) {
			first = e.Expires
		}
		if !e.Expires.After(now) {
			m.remove(e)
		}
	}
	return max(first.Sub(now), 0)
}

// sweep removes a few entries that have expired.
func (m *Memory) sweep(now time.Time) {
	for range sweepStep {
		if len(m.expiry) == 0 || m.expiry[0].Expires.After(now) {
			return
		}
		m.remove(m.expiry[0])
	}
}

// remove forgets an entry.
func (m *Memory) remove(e *entry) {
	switch {
	case e.Principal != nil:
		m.retire(e)
	case !e.signed:
		m.dead--
	}
	heap.Remove(&m.expiry, e.index)
	delete(m.entries, e.Key)
}

// expiryHeap is a [heap.Interface] ordered by expiry, earliest first.
type expiryHeap []*entry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].Expires.Before(h[j].Expires) }

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
