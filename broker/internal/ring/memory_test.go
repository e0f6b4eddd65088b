package ring

import (
	"fmt"
	"runtime"
	"testing"
)

// heap returns the bytes that f's result keeps alive.
func heap(f func() any) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	v := f()
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(v)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// The bytes that a Set counts besides its values bound the memory that it
// takes, and are not far from it.
func TestMemoryIsCounted(t *testing.T) {
	for _, c := range []struct{ destinations, messages, appends int }{
		{100_000, 1, 1}, // last value
		{100_000, 1, 2},
		{1000, 100, 100},
		{1000, 100, 290},
		{1, 100_000, 100_000},
		{1000, 0, 65}, // a ring just after it has grown
	} {
		t.Run(fmt.Sprintf("%dx%d", c.destinations, c.appends), func(t *testing.T) {
			var counted int64
			taken := heap(func() any {
				s := New[*int](Limits{Messages: c.messages})
				for range c.appends {
					for i := range c.destinations {
						s.Append(fmt.Sprintf("/topic/prices/%08d", i), nil, 0, 0)
					}
				}
				counted = s.Stats().Bytes
				return s
			})
			t.Logf("%d bytes taken, %d counted; a destination: %d and %d", taken, counted, taken/int64(c.destinations), counted/int64(c.destinations))
			if taken > counted || taken < counted/4 {
				t.Errorf("%d bytes taken, %d counted", taken, counted)
			}
		})
	}
}

// The time for a message does not grow with what is kept, and appending to a
// full set allocates nothing but places in the log.
func TestAppendIsCheap(t *testing.T) {
	s := New[*int](Limits{Messages: 10, Bytes: 10 << 20, Age: 1 << 40})
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("/topic/prices/%08d", i)
	}
	n := 0
	add := func() {
		s.Append(names[n%1000], nil, 100, int64(n))
		n++
	}
	for range 50_000 {
		add()
	}
	if a := testing.AllocsPerRun(20_000, add); a > 0.1 {
		t.Errorf("%v allocations for a message", a)
	}
	if st := s.Stats(); st.Messages != 10_000 || st.Destinations != 1000 {
		t.Errorf("%+v", st)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, messages := range []int{1, 100} {
		b.Run(fmt.Sprint(messages), func(b *testing.B) {
			s := New[*int](Limits{Messages: messages, Bytes: 1 << 30})
			names := make([]string, 1000)
			for i := range names {
				names[i] = fmt.Sprintf("/topic/prices/%08d", i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s.Append(names[i%1000], nil, 100, int64(i))
			}
		})
	}
}
