package brokertest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// DurableStore is a [broker.DurableStore] in memory, for tests. It survives the
// brokers that use it. Its answers come before its methods return, or from a
// goroutine while Late is set.
type DurableStore struct {
	// Late has the answers come later, in their order. Set it before use.
	Late bool

	mu        sync.Mutex
	err       error
	all       map[string]broker.StoredDurable // by ID
	positions map[string]broker.DurablePosition
	messages  map[uint64]*broker.StoredPut
	latest    uint64
	answers   []func()
	answering bool
	deaf      bool
}

// NewDurableStore returns an empty store.
func NewDurableStore() *DurableStore {
	return &DurableStore{
		all: make(map[string]broker.StoredDurable), positions: make(map[string]broker.DurablePosition), messages: make(map[uint64]*broker.StoredPut),
	}
}

// Fail has all calls fail with err, until it is called with nil.
func (s *DurableStore) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Crash has the store ignore all calls from now on, as if the process of the
// broker had ended, and returns what it has as a new one.
func (s *DurableStore) Crash() *DurableStore {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaf = true
	other := NewDurableStore()
	maps.Copy(other.all, s.all)
	maps.Copy(other.positions, s.positions)
	for n, m := range s.messages {
		c := *m
		c.Wanted = 0
		other.messages[n] = &c
	}
	other.latest = s.latest
	return other
}

// Messages returns the number of stored messages.
func (s *DurableStore) Messages() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.messages)
}

// answer calls done. The caller holds the lock, which answer releases.
func (s *DurableStore) answer(done func()) {
	if !s.Late {
		s.mu.Unlock()
		done()
		return
	}
	s.answers = append(s.answers, done)
	if !s.answering {
		s.answering = true
		go s.run()
	}
	s.mu.Unlock()
}

func (s *DurableStore) run() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.answers) > 0 {
		done := s.answers[0]
		s.answers = s.answers[1:]
		s.mu.Unlock()
		done()
		s.mu.Lock()
	}
	s.answering = false
}

// do carries out a call.
func (s *DurableStore) do(done func(error), f func()) {
	s.mu.Lock()
	err := s.err
	if err == nil && !s.deaf {
		f()
	}
	s.answer(func() { done(err) })
}

// Load implements [broker.DurableStore].
func (s *DurableStore) Load(_ context.Context, into broker.DurableLoader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	for id, d := range s.all {
		into.Subscription(d, s.positions[id])
	}
	for _, n := range slices.Sorted(maps.Keys(s.messages)) {
		m := s.messages[n]
		c := *m
		c.Wanted = 0
		if m.Wanted = into.Message(c); m.Wanted == 0 {
			delete(s.messages, n)
		}
	}
	return nil
}

// Create implements [broker.DurableStore].
func (s *DurableStore) Create(d broker.StoredDurable, done func(error)) {
	s.do(done, func() {
		for id, other := range s.all {
			if other.User == d.User && other.Name == d.Name {
				s.remove(id)
			}
		}
		d.After = s.latest
		s.all[d.ID] = d
	})
}

func (s *DurableStore) remove(id string) {
	delete(s.all, id)
	delete(s.positions, id)
}

// Save implements [broker.DurableStore].
func (s *DurableStore) Save(id string, p broker.DurablePosition, done func(error)) {
	s.do(done, func() { s.positions[id] = p })
}

// Delete implements [broker.DurableStore].
func (s *DurableStore) Delete(d broker.StoredDurable, done func(error)) {
	s.do(done, func() { s.remove(d.ID) })
}

// Append implements [broker.DurableStore].
func (s *DurableStore) Append(list []broker.DurablePut, done func(uint64, error)) {
	s.mu.Lock()
	err, first := s.err, s.latest+1
	if err == nil {
		for _, put := range list {
			s.latest++
			if !s.deaf {
				s.messages[s.latest] = &broker.StoredPut{DurablePut: put, Sequence: s.latest, Stored: time.Now()}
			}
		}
	}
	s.answer(func() { done(first, err) })
}

// Settled implements [broker.DurableStore].
func (s *DurableStore) Settled(sequence uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.messages[sequence]
	if m == nil || s.deaf {
		return
	}
	if m.Wanted--; m.Wanted <= 0 {
		delete(s.messages, sequence)
	}
}
