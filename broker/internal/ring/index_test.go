package ring

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// What an index that was made anew proves, the set that has seen everything
// proves too, and both return the same messages.
func TestIndexClaimsNoMoreThanTheSet(t *testing.T) {
	claims, doubts := 0, 0
	for round := range 300 {
		rnd := rand.New(rand.NewPCG(uint64(round), 7))
		limits := Limits{Messages: rnd.IntN(6)}
		if rnd.IntN(2) == 0 {
			limits.Bytes = int64(1000 + rnd.IntN(20_000))
		}
		s, full := New[string](limits), limits.Messages
		for i := range 200 {
			s.Append(fmt.Sprint("d", rnd.IntN(5)), fmt.Sprint(i), 50+rnd.IntN(100), int64(i))
			if rnd.IntN(60) == 0 && full > 0 {
				limits.Messages = 1 + rnd.IntN(8)
				full = min(full, limits.Messages)
				s.SetLimits(limits, int64(i))
			}
		}
		every := func(string) bool { return true }
		list := readAll(s, Selection{Match: every}, Start{})
		first := s.Last() + 1
		if len(list) > 0 {
			first = list[0].Number
		}
		x := NewIndex[string](limits, first)
		for _, k := range list {
			x.Put(k.Number, k.Destination, k.Value, k.Size, k.At-1000) // from before the process
		}
		x.Settle(full, s.Last())
		if x.Last() != s.Last() || x.Stats().Messages != s.Stats().Messages {
			t.Fatalf("the index has %+v up to %d, the set %+v up to %d", x.Stats(), x.Last(), s.Stats(), s.Last())
		}
		for range 60 {
			sel := Selection{Name: fmt.Sprint("d", rnd.IntN(6))}
			if rnd.IntN(3) == 0 {
				only := fmt.Sprint("d", rnd.IntN(5))
				sel = Selection{Match: func(d string) bool { return d == only || only == "d0" }}
			}
			start := Start{From: After, Number: rnd.Uint64N(s.Last() + 3)}
			_, proven := x.Reader(sel, start)
			_, really := s.Reader(sel, start)
			switch {
			case proven && !really:
				t.Fatalf("round %d: the index claims that nothing is missing after %d", round, start.Number)
			case proven:
				claims++
			case really:
				doubts++
			}
			got, want := readAll(x, sel, start), readAll(s, sel, start)
			for i := range got {
				got[i].At += 1000
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("round %d: the index returns %v, the set %v", round, got, want)
			}
		}
	}
	t.Logf("%d claims, %d doubts", claims, doubts)
	if claims == 0 || doubts > claims {
		t.Errorf("%d claims, %d doubts", claims, doubts)
	}
}

func readAll(s *Set[string], sel Selection, start Start) (all []Read[string]) {
	r, _ := s.Reader(sel, start)
	for {
		list, _, done := r.Next(nil, 100, 1<<20)
		all = append(all, list...)
		if done {
			return all
		}
	}
}
