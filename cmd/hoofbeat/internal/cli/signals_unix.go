//go:build unix

package cli

import (
	"os"
	"syscall"
)

// dumpSignals ask for all goroutines in the log.
func dumpSignals() []os.Signal { return []os.Signal{syscall.SIGUSR1} }
