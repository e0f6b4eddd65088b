package auth

import (
	"os"
	"time"
)

// clockVariable is the name of an environment variable that moves the clock,
// such as -1m. Only the linker sets it (-X), for the binary of a test.
var clockVariable string

var clockShift = movedClock()

// movedClock panics if the test asks for something else than a duration: a
// clock that is right would prove nothing.
func movedClock() time.Duration {
	if clockVariable == "" {
		return 0
	}
	text := os.Getenv(clockVariable)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return d
}

// Now returns the time by which tickets, revocations and operations are judged.
// It is [time.Now], unless a test of a wrong clock has moved it.
func Now() time.Time {
	now := time.Now()
	if clockShift != 0 {
		now = now.Add(clockShift)
	}
	return now
}
