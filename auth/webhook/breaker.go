package webhook

import (
	"sync"
	"time"
)

const (
	// failuresToOpen is how many failures in a row open the circuit.
	failuresToOpen = 5
	// firstPause is how long it is open at first; each probe that fails doubles that, up to maxPause.
	firstPause = time.Second
	maxPause   = 30 * time.Second
)

// breaker is a circuit breaker. It is closed while the backend answers. After failuresToOpen failures in a row it is
// open for a pause; then one question is let through as a probe, which closes it or begins the next pause. The zero
// value is closed.
type breaker struct {
	mu       sync.Mutex
	failures int           // in a row, while closed
	pause    time.Duration // zero while closed
	until    time.Time     // the end of the pause
	probing  bool
	since    time.Time // when it opened
	epoch    uint64    // greater after each opening and with each probe
}

// change is what a report has brought about.
type change uint8

const (
	unchanged change = iota
	opened
	closed
)

// refuses returns an openError if enter would, without beginning anything.
func (b *breaker) refuses(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.check(now)
}

// enter begins a question. Its outcome must be reported with the epoch.
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

// check returns an openError if no question may be put now. b.mu is held.
func (b *breaker) check(now time.Time) error {
	if b.pause == 0 || !b.probing && !now.Before(b.until) {
		return nil
	}
	return &openError{wait: b.until.Sub(now)}
}

// report says how a question went. One that began before the circuit opened or before the probe says nothing any more.
// If the circuit has closed, since is when it opened.
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
