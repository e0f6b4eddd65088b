package store

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whatever is stored and settled, in any order, the first message that is wanted
// is known, and what is remembered for that does not grow.
func TestFirstMessageThatIsWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRemoval(nil)
		model := make(map[uint64]int)
		sequences := rapid.Uint64Range(1, 50)
		t.Repeat(map[string]func(*rapid.T){
			"store": func(t *rapid.T) {
				n, wanted := sequences.Draw(t, "sequence"), rapid.IntRange(0, 3).Draw(t, "wanted")
				r.stored(n, wanted)
				if model[n] += wanted; model[n] == 0 {
					delete(model, n)
				}
			},
			"settle": func(t *rapid.T) {
				n := sequences.Draw(t, "sequence")
				r.settled(n)
				if model[n]--; model[n] <= 0 {
					delete(model, n)
				}
			},
			"unwanted": func(t *rapid.T) {
				n := sequences.Draw(t, "sequence")
				r.unwanted(n)
				delete(model, n)
			},
			"": func(t *rapid.T) {
				first := uint64(math.MaxUint64)
				for n := range model {
					first = min(first, n)
				}
				got, any := r.firstWanted()
				if any != (len(model) > 0) || any && got != first {
					t.Fatalf("the first one is %d, %t; want %d of %v", got, any, first, model)
				}
			},
		})
	})
}

// One message that is wanted for long does not keep what is known of later ones.
func TestOldMessageDoesNotKeepLaterOnes(t *testing.T) {
	r := newRemoval(nil)
	r.stored(1, 1)
	for n := range uint64(100_000) {
		r.stored(n+2, 1)
		r.settled(n + 2)
	}
	if n := len(r.lowest); n > 2000 {
		t.Errorf("%d messages are remembered, 1 is wanted", n)
	}
	if n, _ := r.firstWanted(); n != 1 || slices.Max(r.due) != 100_001 {
		t.Errorf("the first one is %d", n)
	}
}
