// Package ring keeps the latest messages of many destinations in memory. A
// [Set] numbers the messages of all its destinations in one sequence and drops
// the oldest when a limit is reached: a number of messages for each
// destination, and an age and a number of bytes for the whole set. A [Reader]
// returns what is kept, in the order of the numbers, and detects when a limit
// drops a message before it has been read.
//
// Each destination has a ring of its messages. A log of the whole set, ordered
// by number, finds the oldest message of the set and the messages of a pattern.
// Appending takes constant time on average. A message costs a [Record] and a
// place in the log besides its value; a destination costs a ring and an entry
// in a map.
package ring

import (
	"strings"
	"sync"
)

// Limits are the limits of a Set. Zero means no limit.
type Limits struct {
	Messages int   // kept for one destination
	Age      int64 // nanoseconds; older messages are dropped
	Bytes    int64 // of all messages and destinations, as [Set.Append] counts them
}

// Memory that is counted besides the size that the caller states, in bytes.
// TestMemoryIsCounted compares them with the heap.
const (
	// recordOverhead is for a place in a ring, which doubles when it is full
	// (32 to 64), and in the log (16 to 32).
	recordOverhead = 96
	// ringOverhead is for a destination besides its name: the ring (96) and its
	// entry in the map (24 to 80).
	ringOverhead = 176
)

// Record is one message that a Set keeps.
type Record[T any] struct {
	Number uint64
	At     int64 // time given to Append
	Size   int   // size given to Append
	Value  T
}

// Set keeps the latest messages of its destinations. Its methods are safe for
// concurrent use, and none blocks for longer than some thousand steps.
type Set[T any] struct {
	setting sync.Mutex // held by SetLimits, before mu

	mu     sync.Mutex
	limits Limits
	rings  map[string]*ring[T]
	log    log[T]

	last     uint64 // number of the latest message
	clock    uint64 // counts the calls that may drop messages
	messages int
	bytes    int64
	dropped  uint64 // messages dropped by a limit, not counting age

	// gone is what limits dropped from destinations of which nothing is left.
	gone loss
}

// loss is the latest message of a destination that a limit dropped. Age is not
// a limit in this sense: expired messages are no gap.
type loss struct {
	number uint64
	clock  uint64 // of the set, when it was dropped
}

// ring holds the messages of one destination, in a circular buffer.
type ring[T any] struct {
	name string
	buf  []Record[T]
	head int
	n    int
	size int64 // of the messages, as Append counts them
	lost loss
}

// New returns an empty Set.
func New[T any](l Limits) *Set[T] {
	return &Set[T]{limits: l, rings: make(map[string]*ring[T])}
}

// Append adds a message of a destination and returns its number, which is one
// more than that of the message before. Numbers begin at 1. size is the memory
// of v in bytes, now the time in nanoseconds, which must not decrease. A
// message that exceeds the limit of bytes alone is not kept, and neither is any
// earlier message of its destination.
func (s *Set[T]) Append(destination string, v T, size int, now int64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.append(s.last+1, destination, v, size, now)
	return s.last
}

// append is Append with a number.
func (s *Set[T]) append(number uint64, destination string, v T, size int, now int64) {
	s.last = number
	s.clock++
	r := s.rings[destination]
	if s.tooLarge(size, destination) {
		s.replace(r, destination)
		s.expire(now)
		s.log.compact(s.messages)
		return
	}
	if r == nil {
		destination = strings.Clone(destination) // it may keep a whole frame alive
		r = &ring[T]{name: destination, lost: s.gone}
		s.rings[destination] = r
		s.bytes += ringSize(destination)
	}
	if r.n >= s.limits.Messages && s.limits.Messages > 0 && r.n > 0 { // before push, so that a ring of one message never grows
		s.pop(r, true)
	}
	r.push(Record[T]{s.last, now, size, v}, s.limits.Messages)
	s.messages++
	s.bytes += int64(size) + recordOverhead
	s.log.push(s.last, r)
	s.expire(now)
	s.trim()
	s.log.compact(s.messages)
}

func ringSize(name string) int64 { return ringOverhead + int64(len(name)) }

func recordSize[T any](r *Record[T]) int64 { return int64(r.Size) + recordOverhead }

func (s *Set[T]) tooLarge(size int, destination string) bool {
	return s.limits.Bytes > 0 && int64(size)+recordOverhead+ringSize(destination) > s.limits.Bytes
}

// replace drops the messages of r, because the latest message of its
// destination is not kept. r is nil if nothing is kept. The log gets a dead
// place for that message, as if it had been dropped later.
func (s *Set[T]) replace(r *ring[T], destination string) {
	s.dropped++
	if r == nil {
		r = &ring[T]{name: strings.Clone(destination)} // its place in the log stays
	} else {
		for r.n > 0 {
			s.pop(r, true)
		}
		s.forget(r)
	}
	r.lost = loss{s.last, s.clock}
	s.gone = r.lost
	s.log.push(s.last, r)
}

// pop drops the oldest message of r. limit is false if it has expired.
func (s *Set[T]) pop(r *ring[T], limit bool) {
	first := r.pop()
	s.messages--
	s.bytes -= recordSize(&first)
	if limit {
		s.dropped++
		r.lost = loss{first.Number, s.clock}
	}
}

// forget removes r, which is empty, from the set.
func (s *Set[T]) forget(r *ring[T]) {
	delete(s.rings, r.name)
	s.bytes -= ringSize(r.name)
	s.gone.add(r.lost)
}

// drop pops the oldest message of r and forgets r if it is empty then.
func (s *Set[T]) drop(r *ring[T], limit bool) {
	s.pop(r, limit)
	if r.n == 0 {
		s.forget(r)
	}
}

// expire drops the messages that are too old at a time.
func (s *Set[T]) expire(now int64) {
	if s.limits.Age <= 0 {
		return
	}
	for r := s.log.oldest(); r != nil && r.first().At <= now-s.limits.Age; r = s.log.oldest() {
		s.drop(r, false)
	}
}

// trim drops the oldest messages until the bytes are within their limit.
func (s *Set[T]) trim() {
	for s.limits.Bytes > 0 && s.bytes > s.limits.Bytes {
		r := s.log.oldest()
		if r == nil {
			return
		}
		s.drop(r, true)
	}
}

// Expire drops the messages that are too old at a time. Append does the same;
// call Expire regularly so that a set without new messages shrinks too.
func (s *Set[T]) Expire(now int64) {
	for s.expireSome(now) {
	}
}

// expireSome drops at most maxScan messages, so that others get their turn, and
// reports whether there may be more.
func (s *Set[T]) expireSome(now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limits.Age <= 0 {
		return false
	}
	for range maxScan {
		r := s.log.oldest() // also lets go of what is dead at the front
		if r == nil || r.first().At > now-s.limits.Age {
			return false
		}
		s.drop(r, false)
	}
	return true
}

// Last returns the number of the latest message, 0 if there was none.
func (s *Set[T]) Last() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Stats describes a Set at one moment.
type Stats struct {
	Destinations int
	Messages     int
	Bytes        int64
	Dropped      uint64 // messages dropped by Messages or Bytes since the start
}

// Stats returns the contents of the set.
func (s *Set[T]) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{len(s.rings), s.messages, s.bytes, s.dropped}
}

func (r *ring[T]) at(i int) *Record[T] { return &r.buf[(r.head+i)%len(r.buf)] }

func (r *ring[T]) first() *Record[T] { return &r.buf[r.head] }

// push adds a record. limit is the number of records that there will be, 0 if
// it is unknown.
func (r *ring[T]) push(rec Record[T], limit int) {
	if r.n == len(r.buf) {
		size := max(1, 2*len(r.buf))
		if limit > r.n {
			size = min(size, limit)
		}
		r.resize(size)
	}
	*r.at(r.n) = rec
	r.n++
	r.size += recordSize(&rec)
}

// pop removes the oldest record.
func (r *ring[T]) pop() Record[T] {
	first := *r.first()
	*r.first() = Record[T]{}
	r.head = (r.head + 1) % len(r.buf)
	r.n--
	r.size -= recordSize(&first)
	if len(r.buf) > 8 && r.n <= len(r.buf)/4 {
		r.resize(len(r.buf) / 2)
	}
	return first
}

func (r *ring[T]) resize(size int) {
	buf := make([]Record[T], size)
	for i := range r.n {
		buf[i] = *r.at(i)
	}
	r.buf, r.head = buf, 0
}

// after returns the index of the first record with a greater number.
func (r *ring[T]) after(number uint64) int {
	low, high := 0, r.n
	for low < high {
		if mid := (low + high) / 2; r.at(mid).Number > number {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// count returns the number of records. r may be nil.
func (r *ring[T]) count() int {
	if r == nil {
		return 0
	}
	return r.n
}

// since returns the index of the first record that is not older than a time. r
// may be nil.
func (r *ring[T]) since(at int64) int {
	low, high := 0, r.count()
	for low < high {
		if mid := (low + high) / 2; r.at(mid).At >= at {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}
