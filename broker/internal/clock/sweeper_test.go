package clock

import (
	"math"
	"slices"
	"testing"
	"time"
)

// What is asked for at a time comes after it, within one tick.
func TestTicks(t *testing.T) {
	const never = math.MaxInt64
	s := New(250, 1000, slotOf)
	for _, at := range []int64{0, 1, 249, 250, 251, 1 << 40, never} {
		tick := s.ticks(at)
		if at != never && (tick*s.tick <= at || tick*s.tick > at+s.tick) {
			t.Errorf("what is due at %d is checked at %d", at, tick*s.tick)
		}
		if tick <= 0 {
			t.Errorf("what is due at %d has tick %d", at, tick)
		}
	}
}

// Schedule moves a check forward and never back; nothing moves what was removed.
func TestSchedule(t *testing.T) {
	s, v := New(10, 1000, slotOf), new(value)
	var got []int64
	for _, at := range []int64{1000, 500, 2000, 20} {
		s.Schedule(v, at)
		got = append(got, v.slot.tick)
	}
	if !slices.Equal(got, []int64{101, 51, 51, 3}) || s.Len() != 1 {
		t.Errorf("the ticks are %v, %d values wait", got, s.Len())
	}
	s.Remove(v)
	s.Schedule(v, 0)
	if due := s.Advance(10_000); len(due) != 0 || s.Len() != 0 {
		t.Errorf("a value that was removed is checked again, %d wait", s.Len())
	}
}

// A value is due once for each time it is scheduled.
func TestAdvance(t *testing.T) {
	s, v := New(10, 1000, slotOf), new(value)
	for _, at := range []int64{100, 200} {
		s.Schedule(v, at)
		if due := s.Advance(at + 9); len(due) != 0 || s.Len() != 1 {
			t.Errorf("%d values are due before their tick, %d wait", len(due), s.Len())
		}
		if due := s.Advance(at + 10); !slices.Equal(due, []*value{v}) || s.Len() != 0 {
			t.Errorf("%d values are due, %d wait", len(due), s.Len())
		}
		if s.Now() != at+10 {
			t.Errorf("the clock is at %d", s.Now())
		}
	}
}

// A gap of the length given to New is none yet; a longer one ends the steady
// time before it.
func TestSteady(t *testing.T) {
	s := New(10, 100, slotOf)
	for _, c := range []struct{ now, steady int64 }{{10, 0}, {110, 0}, {211, 211}, {220, 211}, {320, 211}, {1000, 1000}} {
		s.Advance(c.now)
		if s.Steady() != c.steady {
			t.Errorf("at %d the clock is steady since %d, want %d", c.now, s.Steady(), c.steady)
		}
	}
	if s.Tick() != 10*time.Nanosecond {
		t.Errorf("the tick is %v", s.Tick())
	}
}
