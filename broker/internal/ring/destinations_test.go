package ring

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

func TestDestinations(t *testing.T) {
	s := New[int](Limits{Messages: 3})
	for i := range 5 {
		s.Append("/a", i, 10, int64(i))
		s.Append("/b", i, 20, int64(i))
	}
	want := map[string]Info{
		"/a": {"/a", 3, 3*(10+recordOverhead) + ringSize("/a"), 5, 9, 2},
		"/b": {"/b", 3, 3*(20+recordOverhead) + ringSize("/b"), 6, 10, 2},
	}
	n := 0
	for got := range s.Destinations() {
		n++
		if one, ok := s.Of(got.Destination); got != want[got.Destination] || !ok || one != got {
			t.Errorf("%+v, and alone %+v, want %+v", got, one, want[got.Destination])
		}
	}
	if _, ok := s.Of("/c"); n != 2 || ok {
		t.Errorf("%d destinations; /c is there: %v", n, ok)
	}
	for range s.Destinations() { // may be left
		break
	}
	s.Append("/c", 0, 1, 9)
}

// A removal up to a number leaves what follows, counts as a loss and not as
// dropped by a limit, and lets go of its memory.
func TestRemove(t *testing.T) {
	s := New[int](Limits{})
	for i := range 6 { // /a 1 3 5, /b 2 4 6
		s.Append([]string{"/a", "/b"}[i%2], i, 10, 0)
	}
	a, _ := s.Reader(Selection{Name: "/a"}, Start{From: After, Number: 1})
	all, _ := s.Reader(Selection{Match: func(string) bool { return true }}, Start{From: After, Number: 2})
	if got := s.Remove("/a", 3); !slices.Equal(got, []uint64{1, 3}) {
		t.Errorf("removed %v", got)
	}
	if list, gap, _ := a.Next(nil, 10, 1000); !gap || len(list) != 1 || list[0].Number != 5 {
		t.Errorf("the reader of /a gets %v, gap %v", list, gap)
	}
	if list, gap, _ := all.Next(nil, 10, 1000); !gap || len(list) == 0 || list[0].Number != 4 {
		t.Errorf("the reader of all gets %v, gap %v", list, gap)
	}
	for number, want := range map[uint64]bool{2: false, 3: true} {
		if _, proven := s.Reader(Selection{Name: "/a"}, Start{From: After, Number: number}); proven != want {
			t.Errorf("after %d: proven %v", number, proven)
		}
	}
	if got := s.Remove("/a", 6); !slices.Equal(got, []uint64{5}) {
		t.Errorf("removed %v", got)
	}
	if got := s.Remove("/a", 6); got != nil {
		t.Errorf("removed %v twice", got)
	}
	for number, want := range map[uint64]bool{5: false, 6: true} {
		for _, sel := range []Selection{{Name: "/a"}, {Name: "/none"}, {Match: func(string) bool { return true }}} {
			if _, proven := s.Reader(sel, Start{From: After, Number: number}); proven != want {
				t.Errorf("%q after %d: proven %v", sel.Name, number, proven)
			}
		}
	}
	if _, proven := s.Reader(Selection{Name: "/b"}, Start{From: After, Number: 2}); !proven {
		t.Error("/b has lost nothing")
	}
	if st := s.Stats(); st.Destinations != 1 || st.Messages != 3 || st.Dropped != 0 || st.Bytes != 3*(10+recordOverhead)+ringSize("/b") {
		t.Errorf("%+v", st)
	}
	s.Remove("/b", 6)
	if st := s.Stats(); st != (Stats{}) || s.log.n != 0 || s.Last() != 6 {
		t.Errorf("%+v, %d places, last %d", st, s.log.n, s.Last())
	}
}

// Many removals leave no places behind, and go together with publishers and with
// lists.
func TestRemovalsBesideWriters(t *testing.T) {
	s := New[int](Limits{Messages: 2})
	s.Append("/first", 0, 10, 0) // keeps the front of the log
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 2000 {
				name := fmt.Sprintf("/%d/%d", w, i%300)
				s.Append(name, i, 10, 0)
				if i%2 == 0 {
					s.Remove(name, s.Last())
				}
				if i%500 == 0 {
					for d := range s.Destinations() {
						if d.Messages == 0 || d.Oldest > d.Newest {
							t.Errorf("%+v", d)
						}
					}
				}
			}
		})
	}
	all.Wait()
	for d := range s.Destinations() {
		if d.Destination != "/first" {
			s.Remove(d.Destination, s.Last())
		}
	}
	if st := s.Stats(); st.Messages != 1 || st.Destinations != 1 || s.log.n > 2+3*chunkSize {
		t.Errorf("%+v, %d places", st, s.log.n)
	}
}
