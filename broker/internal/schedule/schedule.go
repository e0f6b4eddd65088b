// Package schedule holds items until they are due. It does bookkeeping only: it
// starts no goroutine and sets no timer. O identifies the owner of an item, who
// has a share of the room; T is what is to be done.
//
//	item := &schedule.Item[string, job]{ID: "7", Due: at, Owner: "ann", Size: 100, Value: j}
//	if err := s.Reserve(item); err != nil {
//		return err // a *FullError, or ErrExists
//	}
//	s.Wait(item, item.Due)
//	for _, item := range s.Due(now, 100) {
//		if do(item.Value) != nil {
//			s.Wait(item, later)
//		} else {
//			s.Remove(item)
//		}
//	}
//
// An item counts from Reserve until Remove or Cancel, also while it is being
// done. Items that are due at the same moment keep the order of Reserve. All methods are
// safe for concurrent use and take logarithmic time at most, except All.
package schedule

import (
	"errors"
	"strconv"
	"sync"
)

// Overhead is the memory for an item besides its value and the text of its ID,
// in bytes.
const Overhead = 320

// Limits bound what a [Schedule] holds, in all and for each owner.
type Limits struct {
	Items, ItemsPerOwner int
	Bytes, BytesPerOwner int64
}

// Item is something that is due at a moment. Only Due and Value may be read
// after Reserve; nothing may be changed.
type Item[O comparable, T any] struct {
	ID    string
	Due   int64 // in any unit
	Owner O     // the zero value has no share
	Size  int64
	Value T

	seq   uint64
	index int // in the heap; taken if it does not wait
}

const taken = -1

// Limit is the limit that an item would exceed.
type Limit int

// The limits.
const (
	LimitItems Limit = iota
	LimitBytes
	LimitItemsPerOwner
	LimitBytesPerOwner
)

// FullError says that there is no room for an item.
type FullError struct {
	Limit Limit
	Max   int64
}

// Error names the limit's value.
func (e *FullError) Error() string {
	what := [...]string{"delayed messages", "bytes of delayed messages", "delayed messages of one user or address", "bytes of delayed messages of one user or address"}[e.Limit]
	return "more than " + strconv.FormatInt(e.Max, 10) + " " + what
}

// ErrExists says that there is an item with the same ID.
var ErrExists = errors.New("a delayed message with this ID waits already")

// Schedule is a set of items. Create one with [New].
type Schedule[O comparable, T any] struct {
	limits Limits

	mu     sync.Mutex
	heap   []*Item[O, T]
	ids    map[string]*Item[O, T] // nil when empty, because a map never shrinks
	owners map[O]share
	bytes  int64
	seq    uint64
}

type share struct {
	items int
	bytes int64
}

// New returns an empty schedule.
func New[O comparable, T any](l Limits) *Schedule[O, T] { return &Schedule[O, T]{limits: l} }

// Reserve makes room for items, all or none. The caller then lets each of them
// wait, or removes it. The error is a *[FullError] or ErrExists.
func (s *Schedule[O, T]) Reserve(items ...*Item[O, T]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, it := range items {
		if err := s.admit(it); err != nil {
			for _, it := range items[:n] {
				s.release(it)
			}
			return err
		}
	}
	for _, it := range items {
		s.seq++
		it.seq, it.index = s.seq, taken
	}
	return nil
}

// admit counts an item, unless that exceeds a limit.
func (s *Schedule[O, T]) admit(it *Item[O, T]) error {
	var nobody O
	l, mine := &s.limits, s.owners[it.Owner]
	switch {
	case s.ids[it.ID] != nil:
		return ErrExists
	case len(s.ids) >= l.Items:
		return &FullError{LimitItems, int64(l.Items)}
	case it.Size > l.Bytes-s.bytes:
		return &FullError{LimitBytes, l.Bytes}
	case it.Owner == nobody:
	case mine.items >= l.ItemsPerOwner:
		return &FullError{LimitItemsPerOwner, int64(l.ItemsPerOwner)}
	case it.Size > l.BytesPerOwner-mine.bytes:
		return &FullError{LimitBytesPerOwner, l.BytesPerOwner}
	}
	s.hold(it)
	return nil
}

// hold counts an item.
func (s *Schedule[O, T]) hold(it *Item[O, T]) {
	var nobody O
	if s.ids == nil {
		s.ids, s.owners = make(map[string]*Item[O, T]), make(map[O]share)
	}
	s.ids[it.ID] = it
	s.bytes += it.Size
	if it.Owner != nobody {
		mine := s.owners[it.Owner]
		s.owners[it.Owner] = share{mine.items + 1, mine.bytes + it.Size}
	}
}

// release undoes admit.
func (s *Schedule[O, T]) release(it *Item[O, T]) {
	var nobody O
	delete(s.ids, it.ID)
	s.bytes -= it.Size
	if it.Owner != nobody {
		mine := s.owners[it.Owner]
		if mine = (share{mine.items - 1, mine.bytes - it.Size}); mine.items == 0 {
			delete(s.owners, it.Owner)
		} else {
			s.owners[it.Owner] = mine
		}
	}
	if len(s.ids) == 0 {
		s.ids, s.owners, s.heap = nil, nil, nil
	}
}

// Next returns the moment at which the first item is due. ok is false if there
// is none that is not being done.
func (s *Schedule[O, T]) Next() (due int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.heap) == 0 {
		return 0, false
	}
	return s.heap[0].Due, true
}

// Due takes at most n items that are due at a moment, in order. The caller does
// them, and then removes each or lets it wait again.
func (s *Schedule[O, T]) Due(now int64, n int) (items []*Item[O, T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.heap) > 0 && len(items) < n && s.heap[0].Due <= now {
		items = append(items, s.take(0))
	}
	return items
}

// Wait lets an item wait until it is due: one for which there is room, or one
// that Due returned.
func (s *Schedule[O, T]) Wait(it *Item[O, T], due int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it.Due = due
	s.push(it)
}

// Remove removes an item that does not wait.
func (s *Schedule[O, T]) Remove(it *Item[O, T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(it)
}

// Restore lets an item wait without regard to the limits. It reports false if
// there is one with the same ID.
func (s *Schedule[O, T]) Restore(it *Item[O, T]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids[it.ID] != nil {
		return false
	}
	s.hold(it)
	s.seq++
	it.seq, it.index = s.seq, taken
	s.push(it)
	return true
}

// Take takes an item that waits, as Due does. It returns nil if there is none
// with this ID, or if it is being done.
func (s *Schedule[O, T]) Take(id string) *Item[O, T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.ids[id]
	if it == nil || it.index == taken {
		return nil
	}
	return s.take(it.index)
}

// Cancel removes an item that waits. It reports false if there is none with
// this ID, or if it is being done.
func (s *Schedule[O, T]) Cancel(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.ids[id]
	if it == nil || it.index == taken {
		return false
	}
	s.take(it.index)
	s.release(it)
	return true
}

// Stats returns the number of items and the sum of their sizes.
func (s *Schedule[O, T]) Stats() (items int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ids), s.bytes
}

// All returns a snapshot of the items, in no order.
func (s *Schedule[O, T]) All() []Item[O, T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Item[O, T], 0, len(s.ids))
	for _, it := range s.ids {
		list = append(list, *it)
	}
	return list
}
