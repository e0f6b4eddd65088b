package schedule

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

type testItem = Item[string, int]

var roomy = Limits{1 << 30, 1 << 30, 1 << 40, 1 << 40}

func ids(list []*testItem) (all []string) {
	for _, it := range list {
		all = append(all, it.ID)
	}
	return all
}

// Compares with a sorted list, through additions, cancellations, failures and
// the course of time.
func TestScheduleKeepsOrder(t *testing.T) {
	type row struct {
		id  string
		due int64
		seq int
	}
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		s := New[string, int](roomy)
		var model []row
		var taken []*testItem
		now, next := int64(0), 0
		for range 1000 {
			switch rnd.IntN(5) {
			case 0, 1:
				next++
				it := &testItem{ID: fmt.Sprint(next), Due: now + rnd.Int64N(20), Owner: "ann", Size: 1}
				if err := s.Reserve(it); err != nil {
					t.Fatal(err)
				}
				s.Wait(it, it.Due)
				model = append(model, row{it.ID, it.Due, next})
			case 2:
				if len(model) > 0 {
					i := rnd.IntN(len(model))
					if !s.Cancel(model[i].id) || s.Cancel(model[i].id) {
						t.Fatalf("seed %d: an item is cancelled once", seed)
					}
					model = slices.Delete(model, i, i+1)
				}
			case 3:
				now += rnd.Int64N(10)
				slices.SortFunc(model, func(x, y row) int { return cmp.Or(cmp.Compare(x.due, y.due), cmp.Compare(x.seq, y.seq)) })
				var want []string
				n := rnd.IntN(10) + 1
				for len(model) > 0 && len(want) < n && model[0].due <= now {
					want = append(want, model[0].id)
					model = model[1:]
				}
				got := s.Due(now, n)
				if !slices.Equal(ids(got), want) {
					t.Fatalf("seed %d: due are %v, want %v", seed, ids(got), want)
				}
				taken = append(taken, got...)
			case 4:
				if len(taken) > 0 {
					it := taken[0]
					taken = taken[1:]
					if s.Cancel(it.ID) {
						t.Fatalf("seed %d: an item was cancelled while it was done", seed)
					}
					if rnd.IntN(2) == 0 {
						s.Remove(it)
						break
					}
					s.Wait(it, now+5)
					seq, _ := 0, 0
					_, _ = fmt.Sscan(it.ID, &seq)
					model = append(model, row{it.ID, it.Due, seq})
				}
			}
			items, bytes := s.Stats()
			if want := len(model) + len(taken); items != want || bytes != int64(want) {
				t.Fatalf("seed %d: %d items, %d bytes, want %d", seed, items, bytes, want)
			}
			due, ok := s.Next()
			if ok != (len(model) > 0) || ok && due != slices.MinFunc(model, func(x, y row) int { return cmp.Compare(x.due, y.due) }).due {
				t.Fatalf("seed %d: next is %d, %v", seed, due, ok)
			}
		}
		for _, it := range taken {
			s.Remove(it)
		}
		for _, it := range s.All() {
			s.Cancel(it.ID)
		}
		if s.ids != nil || s.owners != nil || s.heap != nil || s.bytes != 0 {
			t.Fatalf("seed %d: left are %d items, %d owners, %d bytes", seed, len(s.ids), len(s.owners), s.bytes)
		}
	}
}

// Each limit refuses, with its value; what is refused leaves no trace, and all
// items of a call are added or none.
func TestLimits(t *testing.T) {
	add := func(s *Schedule[string, int], owner string, size int64, ids ...string) error {
		var list []*testItem
		for _, id := range ids {
			list = append(list, &testItem{ID: id, Owner: owner, Size: size})
		}
		return s.Reserve(list...)
	}
	for _, x := range []struct {
		limits Limits
		want   FullError
	}{
		{Limits{2, 9, 99, 99}, FullError{LimitItems, 2}},
		{Limits{9, 2, 99, 99}, FullError{LimitItemsPerOwner, 2}},
		{Limits{9, 9, 25, 99}, FullError{LimitBytes, 25}},
		{Limits{9, 9, 99, 25}, FullError{LimitBytesPerOwner, 25}},
	} {
		s := New[string, int](x.limits)
		if err := add(s, "ann", 10, "1"); err != nil {
			t.Fatal(err)
		}
		var full *FullError
		if err := add(s, "ann", 10, "2", "3"); !errors.As(err, &full) || *full != x.want {
			t.Errorf("%+v: the error is %v", x.limits, err)
		}
		if err := add(s, "ann", 10, "2"); err != nil {
			t.Errorf("%+v: after a refusal: %v", x.limits, err)
		}
		err := add(s, "bob", 10, "3")
		if perOwner := x.want.Limit >= LimitItemsPerOwner; (err == nil) != perOwner {
			t.Errorf("%+v: another owner gets %v", x.limits, err)
		}
		if err = add(s, "", 5, "4"); (err == nil) != (x.want.Limit != LimitItems) {
			t.Errorf("%+v: an item of nobody: %v", x.limits, err)
		}
	}
	s := New[string, int](roomy)
	if err := add(s, "ann", 1, "1", "2"); err != nil {
		t.Fatal(err)
	}
	if err := add(s, "bob", 1, "3", "2"); !errors.Is(err, ErrExists) {
		t.Errorf("an ID that exists: %v", err)
	}
	if items, _ := s.Stats(); items != 2 {
		t.Errorf("%d items, want 2", items)
	}
}

// The worst case: every item of an owner of its own.
func TestItemsHoldWhatIsDocumented(t *testing.T) {
	for _, n := range []int{1000, 15_000} {
		before := testkit.Heap()
		s := New[string, int](roomy)
		for i := range n {
			id := fmt.Sprintf("%016d", i)
			it := &testItem{ID: id, Owner: id}
			if err := s.Reserve(it); err != nil {
				t.Fatal(err)
			}
			s.Wait(it, int64(i%7))
		}
		each := float64(testkit.Heap()-before)/float64(n) - 16
		t.Logf("%d items: %.0f bytes each", n, each)
		if each > Overhead {
			t.Errorf("%d items take %.0f bytes each, %d are documented", n, each, Overhead)
		}
		runtime.KeepAlive(s)
	}
}
