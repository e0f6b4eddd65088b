package auth

import (
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/internal/expiring"
)

// limiter lets a subject do something so often: a bucket of burst tokens, to which one is added every gap. It keeps
// when the bucket will be full again, and nothing of a subject whose bucket is.
type limiter struct {
	gap  time.Duration // 0: no limit
	most time.Duration // how far from full a bucket may be

	mu   sync.Mutex
	full expiring.Set
}

// take returns 0, or for how long the subject has to wait.
func (l *limiter) take(subject string, now time.Time) (wait time.Duration) {
	if l.gap == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	full := latest(now, l.full.Until(subject)).Add(l.gap)
	if wait = full.Sub(now) - l.most; wait > 0 {
		return wait
	}
	l.full.Keep(subject, full, now)
	return 0
}
