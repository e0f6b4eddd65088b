package cluster

import (
	"container/heap"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
)

// countedTicket is what a node knows of a ticket that somebody has minted, or
// of a signed one that was used.
type countedTicket struct {
	key     string
	subject string // hashed; "" for a signed ticket that was used
	source  string
	epoch   uint64
	bytes   int64
	expires time.Time
	// recheck is that of the principal, if this process has minted the ticket.
	recheck *auth.Recheck

	round uint64 // of the report that included it
	index int    // in the heap
}

// counted counts tickets for the limits. It does not decide whether a ticket is
// good.
type counted struct {
	mu       sync.Mutex
	all      map[string]*countedTicket
	subjects map[string]*subjectShare
	expiry   countedHeap
	unused   int   // opaque tickets
	used     int   // signed ones
	bytes    int64 // of the unused ones
	round    uint64
}

type subjectShare struct {
	name    string
	tickets map[string]*countedTicket
	bytes   int64
}

func newCounted() *counted {
	return &counted{all: make(map[string]*countedTicket), subjects: make(map[string]*subjectShare)}
}

// reserve counts a ticket that is about to be stored. If a limit is reached, it
// returns how long to wait instead.
func (c *counted) reserve(t *countedTicket, l ticket.Limits, now time.Time) (wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep(now)
	if s := c.subjects[t.subject]; s != nil && (len(s.tickets) >= l.PerSubject || t.bytes > l.SubjectBytes-s.bytes) {
		return max(s.first().Sub(now), time.Second)
	}
	if t.bytes > l.SubjectBytes || t.bytes > l.Bytes { // it never fits
		return time.Second
	}
	if c.unused >= l.Outstanding || t.bytes > l.Bytes-c.bytes {
		return max(c.expiry[0].expires.Sub(now), time.Second)
	}
	c.insert(t)
	return 0
}

// reserveUse counts the use of a signed ticket. It reports false if the limit is
// reached.
func (c *counted) reserveUse(t *countedTicket, l ticket.Limits, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep(now)
	if c.all[t.key] != nil {
		return true // the store knows whether it was used
	}
	if c.used >= l.Outstanding {
		return false
	}
	c.insert(t)
	return true
}

// add counts a ticket that a node has stored.
func (c *counted) add(t *countedTicket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.all[t.key]; old != nil {
		old.round = c.round
		return
	}
	if now := auth.Now(); t.expires.After(now) {
		c.sweep(now)
		c.insert(t)
	}
}

func (c *counted) insert(t *countedTicket) {
	t.round = c.round
	c.all[t.key] = t
	heap.Push(&c.expiry, t)
	if t.subject == "" {
		c.used++
		return
	}
	s := c.subjects[t.subject]
	if s == nil {
		s = &subjectShare{name: t.subject, tickets: make(map[string]*countedTicket)}
		c.subjects[t.subject] = s
	}
	t.subject = s.name // one copy for all of its tickets
	s.tickets[t.key] = t
	s.bytes += t.bytes
	c.unused++
	c.bytes += t.bytes
}

// recheck returns how to check the credential again with which this process has
// minted a ticket, or nil.
func (c *counted) recheck(key string) *auth.Recheck {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.all[key]; t != nil {
		return t.recheck
	}
	return nil
}

// remove forgets a ticket that was used or that is not stored.
func (c *counted) remove(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.all[key]; t != nil {
		c.drop(t)
	}
}

func (c *counted) drop(t *countedTicket) {
	delete(c.all, t.key)
	heap.Remove(&c.expiry, t.index)
	if t.subject == "" {
		c.used--
		return
	}
	s := c.subjects[t.subject]
	delete(s.tickets, t.key)
	s.bytes -= t.bytes
	if len(s.tickets) == 0 {
		delete(c.subjects, t.subject)
	}
	c.unused--
	c.bytes -= t.bytes
}

// sweep forgets what has expired.
func (c *counted) sweep(now time.Time) {
	for len(c.expiry) > 0 && !c.expiry[0].expires.After(now) {
		c.drop(c.expiry[0])
	}
}

// older returns the tickets of a subject that are of an epoch before this one.
func (c *counted) older(subject, source string, epoch uint64) []*countedTicket {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.subjects[subject]
	if s == nil {
		return nil
	}
	var list []*countedTicket
	for _, t := range s.tickets {
		if t.source == source && t.epoch < epoch {
			list = append(list, t)
		}
	}
	return list
}

// begin begins a report of all that is stored, and current ends it: what it did
// not include is not there any more.
func (c *counted) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.round++
}

func (c *counted) current() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.all {
		if t.round != c.round {
			c.drop(t)
		}
	}
}

// first returns when the first ticket of a subject expires.
func (s *subjectShare) first() (at time.Time) {
	for _, t := range s.tickets {
		if at.IsZero() || t.expires.Before(at) {
			at = t.expires
		}
	}
	return at
}

// countedHeap is a [heap.Interface] ordered by expiry, earliest first.
type countedHeap []*countedTicket

func (h countedHeap) Len() int           { return len(h) }
func (h countedHeap) Less(i, j int) bool { return h[i].expires.Before(h[j].expires) }

func (h countedHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push adds a *countedTicket.
func (h *countedHeap) Push(x any) {
	t := x.(*countedTicket)
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop removes and returns the last entry.
func (h *countedHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return t
}
