package stomptest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Run runs the tests of a package and then fails if goroutines are left. It
// waits longer than goleak.VerifyTestMain, because some of go-stomp's calls end
// only at their time limit.
func Run(m *testing.M, ignore ...goleak.Option) int {
	code := m.Run()
	if code != 0 {
		return code
	}
	for late := time.Now().Add(time.Minute); ; {
		err := goleak.Find(ignore...)
		if err == nil {
			return 0
		}
		if time.Now().After(late) {
			fmt.Fprintf(os.Stderr, "goroutines are left after the tests: %v\n", err)
			return 1
		}
	}
}
