package ring

import (
	"fmt"
	"strings"
	"testing"
)

func prefixed(prefix string) func(string) bool {
	return func(s string) bool { return strings.HasPrefix(s, prefix) }
}

// A reader that begins at a time after now returns what is appended later.
func TestSinceIsInTheFuture(t *testing.T) {
	for name, sel := range map[string]Selection{"a name": {Name: "a"}, "a pattern": {Match: prefixed("a")}} {
		s := New[int](Limits{Messages: 10})
		s.Append("a", 1, 1, 10)
		r, _ := s.Reader(sel, Start{From: Since, At: 1000})
		s.Append("a", 2, 1, 20)
		if list, _, done := r.Next(nil, 10, 1000); len(list) != 1 || list[0].Value != 2 || !done {
			t.Errorf("%s: %v, %v, want the message after the beginning", name, list, done)
		}
	}
}

// What is dropped of other destinations is no gap for a reader that is proven.
func TestOthersAreNoGap(t *testing.T) {
	s := New[int](Limits{Bytes: 100 * (recordOverhead + 100)})
	for i := range 1000 {
		s.Append(fmt.Sprint("busy", i%3), i, 100, 0)
	}
	at := s.Last() - 500
	for i := range 5 {
		s.Append("quiet", i, 100, 0)
	}
	for i := range 20 {
		s.Append(fmt.Sprint("busy", i%3), i, 100, 0)
	}
	r, proven := s.Reader(Selection{Match: prefixed("quiet")}, Start{From: After, Number: at})
	if !proven {
		t.Fatal("not proven")
	}
	for range 3 {
		s.Append("busy0", 0, 100, 0) // drops messages of others
	}
	if list, gap, _ := r.Next(nil, 100, 10000); gap || len(list) != 5 {
		t.Errorf("%d messages, and a gap: %v", len(list), gap)
	}
}
