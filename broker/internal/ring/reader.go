package ring

import "math"

// Selection selects the destinations that a Reader reads: one by its name, or,
// if Match is set, all that it matches.
type Selection struct {
	Name  string
	Match func(destination string) bool
}

// From is where a Reader begins.
type From uint8

// The beginnings.
const (
	First  From = iota // with the oldest message
	Latest             // with the latest message of each destination
	Next               // with the next message that is appended
	After              // after a number
	Back               // a number of messages back
	Since              // with the first message that is not older than a time
)

// Start is the beginning of a Reader.
type Start struct {
	From   From
	Number uint64 // for After and Back
	At     int64  // for Since
}

// maxScan is the number of places of the log that are looked at with the set
// locked.
const maxScan = 1024

// Reader reads the messages of a selection in the order of their numbers. It
// holds no messages: it is a position in the set. One goroutine at a time may
// use it.
type Reader[T any] struct {
	s      *Set[T]
	sel    Selection
	at     uint64 // everything up to this number has been read
	clock  uint64 // of the set, when the reader began
	latest uint64 // up to this number, only the latest message of a destination counts
	since  int64  // up to the number begun, older messages do not count
	begun  uint64 // number of the latest message when the reader began
}

// Read is a message that a Reader returns.
type Read[T any] struct {
	Record[T]
	Destination string
}

// Reader returns a Reader for a selection. proven is true only for After, and
// means that no limit has dropped a message with a greater number from a
// selected destination: then the reader returns every message after that
// number, except expired ones. If a message is dropped later, before it was
// read, Next reports it. For a number that the set has not reached, the reader
// begins with the oldest message.
func (s *Set[T]) Reader(sel Selection, start Start) (r *Reader[T], proven bool) {
	r = &Reader[T]{s: s, sel: sel, since: math.MinInt64}
	s.mu.Lock()
	r.clock = s.clock
	last := s.last
	r.begun = last
	switch start.From {
	case Latest:
		r.latest = last
		if ring := s.rings[sel.Name]; sel.Match == nil && ring != nil {
			r.at = ring.at(ring.n-1).Number - 1
		}
	case Next:
		r.at = last
	case Since:
		if ring := s.rings[sel.Name]; sel.Match != nil {
			r.since = start.At
		} else if i := ring.since(start.At); i < ring.count() {
			r.at = ring.at(i).Number - 1
		} else {
			r.at = last
		}
	case After:
		proven = start.Number <= last
		if proven {
			r.at = start.Number
		}
	}
	s.mu.Unlock()
	if start.From == Back {
		r.back(start.Number, last)
	}
	return r, proven && r.proven()
}

// proven reports whether no limit has dropped a selected message after r.at.
// What is dropped while it works is found by Next.
func (r *Reader[T]) proven() bool {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.sel.Match == nil {
		if ring := s.rings[r.sel.Name]; ring != nil {
			return ring.lost.number <= r.at
		}
		return s.gone.number <= r.at
	}
	if s.gone.number > r.at {
		return false
	}
	// A destination that lost a message after r.at has later messages.
	begin, skipping := r.at, true // what is not selected need not be read, nor be missed
	at, scanned := s.log.after(r.at), 0
	for p := s.log.next(&at); p != nil; p = s.log.next(&at) {
		if p.alive() && (skipping || p.r.first().Number == p.number && p.r.lost.number > begin) && r.sel.Match(p.r.name) {
			if p.r.lost.number > begin {
				return false
			}
			skipping = false
		}
		if skipping {
			r.at = p.number
		}
		if scanned++; scanned == maxScan {
			number := p.number
			scanned = 0
			s.mu.Unlock()
			s.mu.Lock()
			at = s.log.after(number)
		}
	}
	return s.gone.number <= begin
}

// back moves r so that n selected messages follow, up to the number last.
func (r *Reader[T]) back(n, last uint64) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if n == 0 {
		r.at = last
		return
	}
	if r.sel.Match == nil {
		if ring := s.rings[r.sel.Name]; ring != nil && n <= uint64(ring.n) {
			r.at = ring.at(ring.n-int(n)).Number - 1
		}
		return
	}
	at, scanned := s.log.after(last), 0
	for p := s.log.previous(&at); p != nil; p = s.log.previous(&at) {
		if p.alive() && r.sel.Match(p.r.name) {
			if n--; n == 0 {
				r.at = p.number - 1
				return
			}
		}
		if scanned++; scanned == maxScan {
			number := p.number
			scanned = 0
			s.mu.Unlock()
			s.mu.Lock()
			at = s.log.after(number - 1)
		}
	}
}

// At returns the number up to which everything has been read.
func (r *Reader[T]) At() uint64 { return r.at }

// Next appends the next messages to list, which must be empty: at most count,
// and no more after their sizes reach a number of bytes. It may return none
// although there are more; done means that there were none. gap means that
// after the reader began, a limit dropped messages before it came to them: they
// are missing before the first message of the list, or before the next message
// if the list is empty. A reader of a pattern may count messages of other
// destinations, and messages of which it has already reported the loss.
func (r *Reader[T]) Next(list []Read[T], count, bytes int) (_ []Read[T], gap, done bool) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.sel.Match == nil {
		list, gap = r.one(list, count, bytes)
	} else {
		list, gap = r.many(list, count, bytes)
	}
	return list, gap, r.at >= s.last
}

// one is Next for one destination.
func (r *Reader[T]) one(list []Read[T], count, bytes int) (_ []Read[T], gap bool) {
	ring := r.s.rings[r.sel.Name]
	if ring == nil {
		gap = r.missed(r.s.gone)
		r.at = r.s.last
		return list, gap
	}
	gap = r.missed(ring.lost)
	i := ring.after(r.at)
	for ; i < ring.n && count > 0 && bytes > 0; i++ {
		rec := ring.at(i)
		list = append(list, Read[T]{*rec, ring.name})
		r.at = rec.Number
		count--
		bytes -= rec.Size
	}
	if i == ring.n {
		r.at = r.s.last
	}
	return list, gap
}

// missed reports whether a loss happened after the reader began and before it
// came to the message.
func (r *Reader[T]) missed(l loss) bool {
	return l.number > max(r.at, r.latest) && l.clock > r.clock
}

// many is Next for a pattern. It stops before a gap if it has messages.
func (r *Reader[T]) many(list []Read[T], count, bytes int) (_ []Read[T], gap bool) {
	s := r.s
	gap = r.missed(s.log.trimmed)
	at := s.log.after(r.at)
	for range maxScan {
		if count <= 0 || bytes <= 0 {
			break
		}
		compacted := at.chunk < len(s.log.chunks) && r.missed(s.log.chunks[at.chunk].lost)
		p := s.log.next(&at)
		if p == nil {
			r.at = s.last
			break
		}
		selected, alive := r.sel.Match(p.r.name), p.alive()
		if compacted || selected && !alive && r.missed(p.loss()) {
			if len(list) > 0 {
				break
			}
			gap = true
		}
		r.at = p.number
		if !selected || !alive {
			continue
		}
		rec, i := p.record()
		if rec.At < r.since && p.number <= r.begun || p.number <= r.latest && i+1 < p.r.n && p.r.at(i+1).Number <= r.latest {
			continue
		}
		list = append(list, Read[T]{*rec, p.r.name})
		count--
		bytes -= rec.Size
	}
	return list, gap
}
