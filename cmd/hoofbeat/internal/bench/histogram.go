package bench

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets whose width grows with the value. Each
// power of two has 64 buckets, so a percentile is at most 1.6 % wrong, from
// nanoseconds to hours.
type histogram struct {
	count, sum, max uint64
	buckets         [steps * (maxPower - stepBits + 1)]uint64
}

const (
	stepBits = 6
	steps    = 1 << stepBits
	maxPower = 44 // 2^44 ns are almost five hours
)

func (h *histogram) add(nanoseconds int64) {
	v := uint64(max(nanoseconds, 0))
	h.count++
	h.sum += v
	h.max = max(h.max, v)
	h.buckets[bucketOf(v)]++
}

// bucketOf returns the bucket of a value. Values below 64 have one bucket each;
// above, each power of two has 64 buckets.
func bucketOf(v uint64) int {
	v = min(v, 1<<maxPower-1)
	shift := max(bits.Len64(v)-stepBits-1, 0)
	return shift<<stepBits + int(v>>shift)
}

// middle returns the value that represents a bucket.
func middle(bucket int) uint64 {
	if bucket < 2*steps {
		return uint64(bucket)
	}
	shift := bucket>>stepBits - 1
	return uint64(bucket-shift<<stepBits)<<shift + 1<<shift/2
}

func (h *histogram) merge(o *histogram) {
	h.count += o.count
	h.sum += o.sum
	h.max = max(h.max, o.max)
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
}

// quantile returns the value that the fraction q of all values does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := min(uint64(q*float64(h.count)), h.count-1)
	for i, n := range h.buckets {
		if rank < n {
			return time.Duration(min(middle(i), h.max))
		}
		rank -= n
	}
	return time.Duration(h.max)
}

// latency returns the summary for a result, or nil if there are no values.
func (h *histogram) latency() *Latency {
	if h.count == 0 {
		return nil
	}
	return &Latency{
		Count: h.count,
		Mean:  milliseconds(time.Duration(h.sum / h.count)),
		P50:   milliseconds(h.quantile(0.5)),
		P90:   milliseconds(h.quantile(0.9)),
		P99:   milliseconds(h.quantile(0.99)),
		P999:  milliseconds(h.quantile(0.999)),
		Max:   milliseconds(time.Duration(h.max)),
	}
}
