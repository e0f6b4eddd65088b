package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// sharpenSleep lets the calling thread wake up when it asked for and not 50 µs
// later.
func sharpenSleep() {
	// Without it sleep is only less exact, which the generator's lag shows.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

// sleep is time.Sleep with the exactness of the system: the timers of Go are up
// to a millisecond late while nothing else runs.
func sleep(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil) // a signal ends it early: the caller looks at the clock
}
