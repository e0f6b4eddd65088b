package clock

import (
	"sync"
	"time"
)

// A Sweeper holds values, each in the slot of its next check, and the clock
// that the checks go by. A value that is not due costs nothing. Times are
// nanoseconds since a start that the caller chooses. All methods are safe for
// concurrent use.
type Sweeper[T any] struct {
	Clock
	tick int64 // nanoseconds

	mu    sync.Mutex
	wheel wheel[T]
}

// New returns a Sweeper whose clock is at 0. The caller calls [Sweeper.Advance]
// once per tick, which must be positive; after a longer time than gap without
// a call, the clock has stood still, see [Clock.Steady]. entry returns the
// entry in a value.
func New[T any](tick, gap time.Duration, entry func(*T) *Entry[T]) *Sweeper[T] {
	return &Sweeper[T]{Clock: Clock{gap: int64(gap)}, tick: int64(tick), wheel: wheel[T]{entry: entry}}
}

// Tick returns the tick: how late a check may be.
func (s *Sweeper[T]) Tick() time.Duration { return time.Duration(s.tick) }

// Advance sets the clock, and removes and returns the values that are due. The
// caller checks them and schedules those that must be checked again.
func (s *Sweeper[T]) Advance(now int64) (due []*T) {
	s.set(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wheel.advance(now / s.tick)
}

// Schedule makes v due soon after a time: within one tick. If v is due earlier
// already, that remains. It does nothing after [Sweeper.Remove].
func (s *Sweeper[T]) Schedule(v *T, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, t := s.wheel.entry(v), s.ticks(at); e.tick == 0 || t < e.tick {
		s.wheel.insert(v, t)
	}
}

// Remove ends the checks of v permanently.
func (s *Sweeper[T]) Remove(v *T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wheel.remove(v)
}

// Len returns the number of values that wait for a check.
func (s *Sweeper[T]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wheel.held
}

// ticks returns the first tick after a time.
func (s *Sweeper[T]) ticks(at int64) int64 { return at/s.tick + 1 }
