// Package clock keeps the time of many connections with one timer. A [Sweeper]
// tells which of them are due; the caller checks them.
package clock

import "sync/atomic"

// A Clock is as coarse as the calls of [Sweeper.Advance], and cheap to read. It
// is not generic, so that reading it is inlined everywhere.
type Clock struct {
	now    atomic.Int64
	steady atomic.Int64
	gap    int64 // nanoseconds
}

// Now returns the time of the latest call of [Sweeper.Advance].
func (c *Clock) Now() int64 { return c.now.Load() }

// Steady returns the time since which the calls of [Sweeper.Advance] had no
// gap. In a gap the program was kept from running, so input that peers sent
// then may not have been read yet.
func (c *Clock) Steady() int64 { return c.steady.Load() }

// set sets the clock.
func (c *Clock) set(now int64) {
	if before := c.now.Swap(now); now-before > c.gap {
		c.steady.Store(now)
	}
}
