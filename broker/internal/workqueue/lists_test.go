package workqueue

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Compares the waiting list with a sorted slice: fresh entries at the end,
// returned ones at their old place.
func TestWaitingKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w waiting[int]
		var model, out []uint64
		var last uint64
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range rapid.IntRange(1, 40).Draw(t, "n") {
					last++
					w.fresh.push(entry[int]{seq: last})
					model = append(model, last)
				}
			},
			"pop": func(t *rapid.T) {
				for range min(len(model), rapid.IntRange(1, 40).Draw(t, "n")) {
					if got := w.front().seq; got != model[0] {
						t.Fatalf("front is %d, want %d", got, model[0])
					}
					w.pop()
					out, model = append(out, model[0]), model[1:]
				}
			},
			"return": func(t *rapid.T) {
				for range min(len(out), rapid.IntRange(1, 20).Draw(t, "n")) {
					i := rapid.IntRange(0, len(out)-1).Draw(t, "which")
					w.returned.push(entry[int]{seq: out[i]})
					model = append(model, out[i])
					out = slices.Delete(out, i, i+1)
				}
				slices.Sort(model)
			},
			"remove": func(t *rapid.T) {
				n := rapid.Uint64Range(1, 5).Draw(t, "every")
				var seen []uint64
				w.remove(func(e *entry[int]) bool {
					seen = append(seen, e.seq)
					return e.seq%n == 0
				})
				if !slices.Equal(seen, model) {
					t.Fatalf("the entries %d were looked at, want %d", seen, model)
				}
				model = slices.DeleteFunc(model, func(seq uint64) bool { return seq%n == 0 })
			},
			"": func(t *rapid.T) {
				if w.len() != len(model) {
					t.Fatalf("length is %d, want %d", w.len(), len(model))
				}
				for _, e := range slices.Concat(w.fresh.buf[:cap(w.fresh.buf)], w.returned[:cap(w.returned)]) {
					if e.seq != 0 && !slices.Contains(model, e.seq) {
						t.Fatalf("a slot still holds entry %d, which has left", e.seq)
					}
				}
			},
		})
	})
}

func TestDrainedListsShrink(t *testing.T) {
	testDrainedListsShrink(t, func(w *waiting[int]) {
		for w.len() > 0 {
			w.pop()
		}
	})
	testDrainedListsShrink(t, func(w *waiting[int]) {
		w.remove(func(*entry[int]) bool { return true })
	})
}

func testDrainedListsShrink(t *testing.T, drain func(*waiting[int])) {
	t.Helper()
	var w waiting[int]
	for i := range 10_000 {
		w.fresh.push(entry[int]{seq: uint64(i + 10_000)})
		w.returned.push(entry[int]{seq: uint64(10_000 - i)})
	}
	drain(&w)
	if f, r := cap(w.fresh.buf), cap(w.returned); f > minSlots || r > 2*minSlots {
		t.Fatalf("drained lists keep %d and %d slots", f, r)
	}
}
