package topics

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// kept is a snapshot and a copy of its contents from when it was taken.
type kept struct{ snapshot, contents []int }

func keep(snapshot []int) kept { return kept{snapshot, slices.Clone(snapshot)} }

func (k kept) changed() bool { return !slices.Equal(k.snapshot, k.contents) }

// A bag of any size, with duplicates, holds what was added, and no snapshot
// ever changes.
func TestBagAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b bag[int]
		var model []int
		var snapshots []kept
		item := rapid.IntRange(0, 150)
		add := func(s int) {
			b.add(s)
			model = append(model, s)
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) { add(item.Draw(t, "item")) },
			"addMany": func(t *rapid.T) {
				for range rapid.IntRange(1, 60).Draw(t, "count") {
					add(item.Draw(t, "item"))
				}
			},
			"remove": func(t *rapid.T) {
				s := item.Draw(t, "item")
				i := slices.Index(model, s)
				if got := b.remove(s); got != (i >= 0) {
					t.Fatalf("remove(%d) = %v with %v", s, got, model)
				}
				if i >= 0 {
					model = slices.Delete(model, i, i+1)
				}
			},
			"removeMany": func(t *rapid.T) {
				for range rapid.IntRange(0, len(model)).Draw(t, "count") {
					i := rapid.IntRange(0, len(model)-1).Draw(t, "index")
					if !b.remove(model[i]) {
						t.Fatalf("remove(%d) found none with %v", model[i], model)
					}
					model = slices.Delete(model, i, i+1)
				}
			},
			"snapshot": func(t *rapid.T) { snapshots = append(snapshots, keep(b.snapshot())) },
			"": func(t *rapid.T) {
				if want := sorted(model); !slices.Equal(sorted(b.items.slice()), want) {
					t.Fatalf("bag holds %v, want %v", b.items, want)
				}
				for _, k := range snapshots {
					if k.changed() {
						t.Fatalf("a snapshot of %v became %v", k.contents, k.snapshot)
					}
				}
			},
		})
	})
}

func TestBagSnapshotCannotBeGrownInto(t *testing.T) {
	var b bag[int]
	for i := range 5 {
		b.add(i)
	}
	s := b.snapshot()
	b.add(5)
	_ = append(s, 99)
	if !slices.Equal(b.items.slice(), []int{0, 1, 2, 3, 4, 5}) {
		t.Fatalf("appending to a snapshot wrote into the bag: %v", b.items.slice())
	}
}

// Adding after a publication copies nothing.
func TestBagAddKeepsTheArraySnapshotsShare(t *testing.T) {
	var b bag[int]
	b.items.set(make([]int, 0, 100))
	for i := range 100 {
		b.add(i)
		if s := b.snapshot(); &s[0] != b.items.first || b.items.cap != 100 {
			t.Fatalf("item %d moved the bag", i)
		}
	}
}

func TestBagGivesMemoryBack(t *testing.T) {
	var b bag[int]
	for i := range 10_000 {
		b.add(i)
	}
	for i := range 9_990 {
		if !b.remove(i) {
			t.Fatalf("%d is lost", i)
		}
	}
	if b.items.cap > 64 || b.places != nil {
		t.Errorf("ten items keep room for %d and places %v", b.items.cap, b.places != nil)
	}
}
