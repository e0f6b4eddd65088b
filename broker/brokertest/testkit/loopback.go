package testkit

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
)

var loopbacks atomic.Uint32

// Loopback returns a loopback IP address that no other process uses, for tests
// that stop listening and later listen again at the same address: on 127.0.0.1
// another program could take the port in between. On systems other than Linux,
// which may have only 127.0.0.1, it returns that.
func Loopback() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 64+pid/256%64, pid%256, 1+loopbacks.Add(1)%250)
}
