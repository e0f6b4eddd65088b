package ticket

import (
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/internal/expiring"
)

// limiter limits the rate per subject with token buckets: a bucket holds burst
// tokens and gains one every gap. For each bucket it keeps only the time at
// which the bucket will be full again; a full bucket needs no memory.
type limiter struct {
	gap  time.Duration // 0: no limit
	most time.Duration // the longest time a bucket may need to fill up

	mu   sync.Mutex
	full expiring.Set
}

// take returns 0 if the subject may proceed, or how long it has to wait.
func (l *limiter) take(subject string, now time.Time) (wait time.Duration) {
	if l.gap == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.full.Until(subject)
	if full.Before(now) {
		full = now
	}
	full = full.Add(l.gap)
	if wait = full.Sub(now) - l.most; wait > 0 {
		return wait
	}
	l.full.Keep(subject, full, now)
	return 0
}
