package ring

import "iter"

// Info describes a destination of a Set at one moment.
type Info struct {
	Destination    string
	Messages       int
	Bytes          int64  // as they count against Limits.Bytes
	Oldest, Newest uint64 // numbers of its messages
	At             int64  // time of the oldest
}

// Destinations returns the destinations that have messages, in no order. Those
// that come and go meanwhile may be missing.
func (s *Set[T]) Destinations() iter.Seq[Info] {
	return func(yield func(Info) bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, r := range s.rings { // each step is made under the lock
			info, more := r.info(), false
			func() {
				s.mu.Unlock()
				defer s.mu.Lock()
				more = yield(info)
			}()
			if !more {
				return
			}
		}
	}
}

// Of returns one of the destinations, and false if nothing of it is kept.
func (s *Set[T]) Of(destination string) (Info, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rings[destination]
	if r == nil {
		return Info{}, false
	}
	return r.info(), true
}

func (r *ring[T]) info() Info {
	return Info{
		Destination: r.name, Messages: r.n, Bytes: r.size + ringSize(r.name),
		Oldest: r.first().Number, Newest: r.at(r.n - 1).Number, At: r.first().At,
	}
}

// Remove drops the messages of a destination up to a number, and returns their
// numbers. Readers that have not come to them miss them, as if a limit had
// dropped them: whatever the destination may have lost, it lost up to that
// number. With the set locked it takes a step for each message of the
// destination.
func (s *Set[T]) Remove(destination string, number uint64) (removed []uint64) {
	s.mu.Lock()
	s.clock++
	lost := loss{number, s.clock}
	s.gone.add(lost)
	if r := s.rings[destination]; r != nil {
		for r.n > 0 && r.first().Number <= number {
			first := r.pop()
			s.messages--
			s.bytes -= recordSize(&first)
			removed = append(removed, first.Number)
		}
		r.lost.add(lost)
		if r.n == 0 {
			s.forget(r)
		}
	}
	s.log.oldest() // lets go of what is dead at the front
	s.mu.Unlock()
	for s.tidy() {
	}
	return removed
}
