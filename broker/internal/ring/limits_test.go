package ring

import (
	"fmt"
	"testing"
)

// Lower limits drop the oldest messages of each destination, more of them than
// are dropped at a time, and the log does not keep their places.
func TestLowerLimits(t *testing.T) {
	s := New[int](Limits{})
	const each, dests = 200, 100
	s.Append("quiet", 0, 10, 0)
	for i := range each {
		for d := range dests {
			s.Append(fmt.Sprint(d), i, 10, int64(i))
		}
	}
	for _, c := range []struct {
		limits Limits
		want   int // messages of each destination
	}{
		{Limits{Messages: 2 * each}, each},
		{Limits{Messages: 150}, 150},
		{Limits{Age: 100}, 100}, // at 199, those since 100
		{Limits{Messages: 90, Age: 80}, 80},
		{Limits{Messages: 3, Age: 1000}, 3},
		{Limits{}, 3},
	} {
		s.SetLimits(c.limits, each-1)
		for d := range dests {
			r, _ := s.Reader(Selection{Name: fmt.Sprint(d)}, Start{})
			list, _, _ := r.Next(nil, 2*each, 1<<20)
			if len(list) != c.want || list[0].Value != each-c.want {
				t.Fatalf("%+v: %d messages of %d from %d on, want %d", c.limits, len(list), d, list[0].Value, c.want)
			}
		}
	}
	if n := s.log.n; n > 2*s.messages+2*chunkSize {
		t.Errorf("%d places for %d messages", n, s.messages)
	}
	if s.messages != 3*dests { // quiet expired
		t.Errorf("%d messages", s.messages)
	}
	s.SetLimits(Limits{Bytes: 50 * (10 + recordOverhead)}, each)
	if s.bytes > 50*(10+recordOverhead) || s.messages < 15 {
		t.Errorf("%d messages of %d bytes", s.messages, s.bytes)
	}
}
