package testkit

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
)

var loopbacks atomic.Uint32

// Loopback returns a loopback IP address that nobody else uses, for tests that
// stop listening and listen again at the same address: a port of 127.0.0.1 that
// is free for a moment can be given to any other program. Where the system has only
// 127.0.0.1 (not Linux) it returns that.
func Loopback() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 64+pid/256%64, pid%256, 1+loopbacks.Add(1)%250)
}
