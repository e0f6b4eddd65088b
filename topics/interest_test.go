package topics

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestInterest(t *testing.T) {
	r := NewRouter[string]()
	var got []Interest
	r.Watch(func(i Interest) {
		r.Match(Destination{Kind: Topic, Path: i.Destination}) // it may use the Router
		got = append(got, i)
	})
	topic, other := Destination{Kind: Topic, Path: "/topic/a"}, Destination{Kind: Topic, Path: "/topic/b"}
	pattern := Destination{Kind: Topic, Path: "/topic/*", Pattern: true}
	private := Destination{Kind: UserPrivate, Path: "/topic/a"}
	for i, x := range []struct {
		subscribe bool
		d         Destination
		s         string
		want      []Interest // reports
		covered   uint64     // what Subscribe returns
	}{
		{true, topic, "x", []Interest{{"/topic/a", true, 1}}, 1},
		{true, topic, "y", nil, 1},
		{true, pattern, "x", []Interest{{"/topic/*", true, 2}}, 2},
		{true, topic, "z", nil, 2},
		{true, pattern, "x", nil, 2},
		{true, private, "x", nil, 0},
		{false, private, "x", nil, 0},
		{false, topic, "nobody", nil, 0},
		{false, other, "x", nil, 0},
		{false, topic, "x", nil, 0},
		{false, topic, "y", nil, 0},
		{false, topic, "z", []Interest{{"/topic/a", false, 3}}, 0},
		{false, topic, "z", nil, 0},
		{false, pattern, "x", nil, 0},
		{false, pattern, "x", []Interest{{"/topic/*", false, 4}}, 0},
		{true, topic, "x", []Interest{{"/topic/a", true, 5}}, 5},
	} {
		got = nil
		var covered uint64
		if x.subscribe {
			covered = r.Subscribe("session", x.d, x.s)
		} else {
			r.Unsubscribe("session", x.d, x.s)
		}
		if !slices.Equal(got, x.want) || covered != x.covered {
			t.Errorf("step %d: reports %v and number %d, want %v and %d", i, got, covered, x.want, x.covered)
		}
	}
}

func TestNobodyWatchesInterest(t *testing.T) {
	x := NewIndex[int]()
	if n := x.Add("/topic/a", 1) + x.Add("/topic/*", 1); n != 0 {
		t.Errorf("Add returned %d", n)
	}
	if n := x.interests.last.Load(); n != 0 {
		t.Errorf("%d changes were counted", n)
	}
}

// However subscribers come and go at once, the report with the highest number
// is true at the end, the numbers have no gaps, and a subscriber is covered by
// the reports up to the number that it was given.
func TestInterestWhileManyComeAndGo(t *testing.T) {
	names := []string{"/topic/a", "/topic/b", "/topic/*", "/topic/**"}
	const goroutines, rounds = 8, 500
	x := NewIndex[int]()
	var mu sync.Mutex
	var reports []Interest
	x.Watch(func(i Interest) {
		mu.Lock()
		defer mu.Unlock()
		reports = append(reports, i)
	})
	type cover struct {
		destination string
		generation  uint64
	}
	covers := make([][]cover, goroutines)
	left := make([]map[string]bool, goroutines) // what each goroutine leaves subscribed
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 1))
			mine := make(map[string]bool)
			for range rounds {
				name := names[random.IntN(len(names))]
				if mine[name] {
					x.Remove(name, g)
				} else {
					covers[g] = append(covers[g], cover{name, x.Add(name, g)})
				}
				mine[name] = !mine[name]
			}
			left[g] = mine
		})
	}
	testkit.Wait(t, &all)

	slices.SortFunc(reports, func(a, b Interest) int { return int(a.Generation) - int(b.Generation) })
	for i, r := range reports {
		if r.Generation != uint64(i+1) {
			t.Fatalf("report %d has the number %d", i, r.Generation)
		}
	}
	// wanted says what the reports up to a number say of a destination.
	wanted := func(name string, upTo uint64) bool {
		for i := int(upTo) - 1; i >= 0; i-- {
			if reports[i].Destination == name {
				return reports[i].Wanted
			}
		}
		return false
	}
	for _, list := range covers {
		for _, c := range list {
			if !wanted(c.destination, c.generation) {
				t.Fatalf("a subscriber of %s is not covered by the reports up to %d", c.destination, c.generation)
			}
		}
	}
	for _, name := range names {
		some := slices.ContainsFunc(left, func(mine map[string]bool) bool { return mine[name] })
		if got := wanted(name, uint64(len(reports))); got != some {
			t.Errorf("%s: the last report says %t, and it has subscribers: %t", name, got, some)
		}
	}
}
