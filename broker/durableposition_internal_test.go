package broker

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A position that is stored and restored has the same open messages, whatever was
// settled in between and in whatever order.
func TestPositionAgainstModel(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test
		var p position
		var all, open []uint64 // that were added, that are not settled
		next := uint64(0)
		for range 300 {
			switch n := r.IntN(10); {
			case n < 5:
				next += uint64(1 + r.IntN(3)) //nolint:gosec // a test
				p.add(next)
				all, open = append(all, next), append(open, next)
			case n < 9 && len(open) > 0:
				i := r.IntN(len(open))
				if n < 7 {
					i = 0
				}
				if !p.settle(open[i]) || p.settle(open[i]) {
					t.Fatalf("seed %d: settling %d", seed, open[i])
				}
				open = slices.Delete(open, i, i+1)
			default: // restart
				s := p.stored()
				p = position{}
				p.restore(s)
				for _, sequence := range all {
					if wants := slices.Contains(open, sequence); s.has(sequence) == wants {
						t.Fatalf("seed %d: %d is open: %v, the position is %+v", seed, sequence, wants, s)
					}
					if !s.has(sequence) {
						p.add(sequence)
					}
				}
			}
			for i := 1; i < len(p.open); i++ {
				if p.open[i-1].sequence >= p.open[i].sequence {
					t.Fatalf("seed %d: %+v", seed, p.open)
				}
			}
		}
	}
}
