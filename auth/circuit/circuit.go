// Package circuit has a circuit breaker for requests to a backend: while the
// backend does not answer, nobody waits for it and it gets no requests except
// probes.
package circuit

import (
	"sync"
	"time"
)

const (
	// Failures is how many failures in a row open the circuit.
	Failures = 5
	// FirstPause is how long the circuit is open at first. Each failed probe
	// doubles the pause, up to MaxPause.
	FirstPause = time.Second
	// MaxPause is the longest pause between two probes.
	MaxPause = 30 * time.Second
)

// A Breaker is closed while the backend answers. After [Failures] failures in a
// row it is open for a pause. Then it lets one request through as a probe; the
// result closes it or begins the next pause. The zero value is closed. All
// methods are safe for concurrent use.
type Breaker struct {
	mu       sync.Mutex
	failures int           // in a row, while closed
	pause    time.Duration // zero while closed
	until    time.Time     // the end of the pause
	probing  bool
	since    time.Time // when it opened
	epoch    uint64    // increases with each opening and each probe
}

// Change is the effect of a report.
type Change uint8

// The changes.
const (
	Unchanged Change = iota
	Opened
	Closed
)

// Open reports whether [Breaker.Enter] would refuse a request now, and how long
// it is until the next probe. It begins no request.
func (b *Breaker) Open(now time.Time) (wait time.Duration, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.check(now)
}

// Since returns when the circuit opened. broken is false if it is closed.
func (b *Breaker) Since() (since time.Time, broken bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.since, b.pause > 0
}

// Enter begins a request. If ok, the caller must report its result with the
// epoch. Otherwise no request may be sent, and wait is the time until the next
// probe.
func (b *Breaker) Enter(now time.Time) (epoch uint64, wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait, open := b.check(now); open {
		return 0, wait, false
	}
	if b.pause > 0 {
		b.probing = true
		b.epoch++
	}
	return b.epoch, 0, true
}

// check is Open for a caller that holds b.mu.
func (b *Breaker) check(now time.Time) (wait time.Duration, open bool) {
	if b.pause == 0 || !b.probing && !now.Before(b.until) {
		return 0, false
	}
	return b.until.Sub(now), true
}

// Report records the result of a request. It ignores a request that began
// before the circuit opened or before the probe. If the circuit has closed,
// since is when it opened.
func (b *Breaker) Report(epoch uint64, ok bool, now time.Time) (c Change, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case epoch != b.epoch:
		return Unchanged, since
	case ok && b.probing:
		b.failures, b.pause, b.probing = 0, 0, false
		return Closed, b.since
	case ok:
		b.failures = 0
		return Unchanged, since
	case b.probing:
		b.probing = false
		b.pause = min(2*b.pause, MaxPause)
		b.until = now.Add(b.pause)
		return Unchanged, since
	}
	if b.failures++; b.failures < Failures {
		return Unchanged, since
	}
	b.epoch++
	b.pause, b.until, b.since = FirstPause, now.Add(FirstPause), now
	return Opened, since
}
