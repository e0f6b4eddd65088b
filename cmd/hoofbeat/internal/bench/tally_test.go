package bench

import (
	"testing"

	"pgregory.net/rapid"
)

// The tally says the same as a plain set.
func TestTallyAgreesWithSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var got tally
		seen, highest := make(map[uint64]bool), int64(-1)
		for _, n := range rapid.SliceOf(rapid.Uint64Range(0, 40)).Draw(t, "sequence") {
			want := inOrder
			switch {
			case seen[n]:
				want = again
			case int64(n) < highest:
				want = late
			}
			seen[n], highest = true, max(highest, int64(n))
			if a := got.see(n); a != want {
				t.Fatalf("%d is %d, want %d", n, a, want)
			}
		}
		for upTo := range uint64(50) {
			lost := uint64(0)
			for n := range upTo {
				if !seen[n] {
					lost++
				}
			}
			if l := got.lost(upTo); l != lost {
				t.Fatalf("of %d lost %d, want %d: %+v", upTo, l, lost, got)
			}
		}
	})
}
