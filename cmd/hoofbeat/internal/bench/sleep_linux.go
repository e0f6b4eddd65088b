package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// sharpenSleep makes the calling thread wake up on time, and not 50 µs late.
func sharpenSleep() {
	// If it fails, sleep is only less precise, which the generator's lag shows.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

// sleep is time.Sleep with the precision of the system: Go's timers are up to a
// millisecond late on an idle process.
func sleep(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil) // a signal ends it early; the caller checks the clock
}
