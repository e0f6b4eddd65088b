package bench

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A quantile is at most 1.6 % from the value at its rank, and the maximum exact.
func TestHistogramQuantiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, int64(2*time.Hour)), 1, 300).Draw(t, "values")
		var a, b, h histogram
		for i, v := range values {
			if i%2 == 0 {
				a.add(v)
			} else {
				b.add(v)
			}
		}
		h.merge(&a)
		h.merge(&b)
		slices.Sort(values)
		for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999} {
			want := float64(values[min(int(q*float64(len(values))), len(values)-1)])
			if got := float64(h.quantile(q)); got < want*0.984-1 || got > want*1.016+1 {
				t.Fatalf("quantile %v is %v, want %v", q, got, want)
			}
		}
		if got := h.quantile(1); int64(got) > values[len(values)-1] || h.max != uint64(values[len(values)-1]) {
			t.Fatalf("maximum %v and %v, want %v", got, h.max, values[len(values)-1])
		}
	})
}

func TestHistogramEdges(t *testing.T) {
	var h histogram
	if h.latency() != nil || h.quantile(0.5) != 0 {
		t.Error("an empty histogram has a latency")
	}
	h.add(-5) // a clock that ran backwards
	h.add(1 << 62)
	if h.count != 2 || h.quantile(0) != 0 || h.max != 1<<62 {
		t.Errorf("%d values, smallest %v, largest %v", h.count, h.quantile(0), h.max)
	}
	var even histogram
	for ms := range int64(100) {
		even.add((ms + 1) * int64(time.Millisecond))
	}
	if l := even.latency(); l.Mean != 50.5 || l.Max != 100 || l.P50 < 50 || l.P50 > 52 || l.P90 < 90 || l.P90 > 92.5 {
		t.Errorf("latency %+v", l)
	}
}
