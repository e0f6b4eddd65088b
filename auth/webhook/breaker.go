package webhook

import (
	"sync"
	"time"
)

const (
	// failuresToOpen is how many failures in a row open the circuit.
	failuresToOpen = 5
	// firstPause is how long the circuit is open at first. Each failed probe
	// doubles the pause, up to maxPause.
	firstPause = time.Second
	maxPause   = 30 * time.Second
)

// breaker is a circuit breaker. It is closed while the backend answers. After
// failuresToOpen failures in a row it is open for a pause. Then it lets one
// question through as a probe; the result closes it or begins the next pause.
// The zero value is closed.
type breaker struct {
	mu       sync.Mutex
	failures int           // in a row, while closed
	pause    time.Duration // zero while closed
	until    time.Time     // the end of the pause
	probing  bool
	since    time.Time // when it opened
	epoch    uint64    // increases with each opening and each probe
}

// change is the effect of a report.
type change uint8

const (
	unchanged change = iota
	opened
	closed
)

// refuses returns an openError if enter would, but does not begin a question.
func (b *breaker) refuses(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.check(now)
}

// enter begins a question. The caller must report its result with the epoch.
func (b *breaker) enter(now time.Time) (epoch uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.check(now); err != nil {
		return 0, err
	}
	if b.pause > 0 {
		b.probing = true
		b.epoch++
	}
	return b.epoch, nil
}

// check returns an openError if no question may be sent now. The caller holds
// b.mu.
func (b *breaker) check(now time.Time) error {
	if b.pause == 0 || !b.probing && !now.Before(b.until) {
		return nil
	}
	return &openError{wait: b.until.Sub(now)}
}

// report records the result of a question. It ignores a question that began
// before the circuit opened or before the probe. If the circuit has closed,
// since is when it opened.
func (b *breaker) report(epoch uint64, ok bool, now time.Time) (c change, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case epoch != b.epoch:
		return unchanged, since
	case ok && b.probing:
		b.failures, b.pause, b.probing = 0, 0, false
		return closed, b.since
	case ok:
		b.failures = 0
		return unchanged, since
	case b.probing:
		b.probing = false
		b.pause = min(2*b.pause, maxPause)
		b.until = now.Add(b.pause)
		return unchanged, since
	}
	if b.failures++; b.failures < failuresToOpen {
		return unchanged, since
	}
	b.epoch++
	b.pause, b.until, b.since = firstPause, now.Add(firstPause), now
	return opened, since
}
