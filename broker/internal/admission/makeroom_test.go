package admission

import (
	"net/netip"
	"testing"
	"time"
)

// Counts of failures that are as good as forgotten go first when there are too
// many, and no count of a try that is under way or waits. Else whoever can come
// from many networks would make the broker forget the failures of all others.
func TestThrottleForgetsTheOldFirst(t *testing.T) {
	const old, recent, flying, waiting, slow = 0, 1, 2, 3, 4
	fill := func(now time.Time, sorts ...int) *throttle {
		var x throttle
		x.init(time.Minute, 2*time.Minute)
		x.setLimits(Limits{LoginFailures: 5, AddressFailures: 50})
		for i := range maxThrottled {
			f := &failures{n: 3, last: now}
			switch sorts[i%len(sorts)] {
			case old:
				f.last = now.Add(-10*time.Minute - 5*time.Nanosecond)
			case flying:
				f.flying = 1
			case slow: // the last failure was long ago, and a try is under way
				f.flying, f.last = 1, now.Add(-time.Hour)
			case waiting:
				f.held = []*held{{}}
			}
			x.keys[throttleKey{netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), uint64(sorts[i%len(sorts)]), ofLogin}] = f
		}
		return &x
	}
	for name, tc := range map[string]struct {
		sorts []int
		left  map[uint64]int
	}{
		"old ones":  {[]int{old, recent, flying, waiting}, map[uint64]int{recent: maxThrottled / 4, flying: maxThrottled / 4, waiting: maxThrottled / 4}},
		"some":      {[]int{recent, flying}, map[uint64]int{recent: maxThrottled / 4, flying: maxThrottled / 2}},
		"slow ones": {[]int{old, slow}, map[uint64]int{slow: maxThrottled / 2}},
		"all there": {[]int{flying, waiting}, map[uint64]int{flying: maxThrottled / 2, waiting: maxThrottled / 2}},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			x := fill(now, tc.sorts...)
			x.makeRoom(now)
			left := make(map[uint64]int)
			for k := range x.keys {
				left[k.login]++
			}
			for _, sort := range []uint64{old, recent, flying, waiting, slow} {
				if got, want := left[sort], tc.left[sort]; got != want {
					t.Errorf("of sort %d there are %d left, want %d", sort, got, want)
				}
			}
			before := len(x.keys)
			if before < maxThrottled {
				if x.makeRoom(now); len(x.keys) != before {
					t.Errorf("%d of %d counts are left although there was room", len(x.keys), before)
				}
			}
		})
	}
}
