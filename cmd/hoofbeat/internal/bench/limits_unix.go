//go:build unix

package bench

import (
	"fmt"
	"syscall"
)

// spareFiles is the number of files for everything other than connections.
const spareFiles = 32

// checkFiles returns an error if the process may not open that many
// connections. Go has already raised the soft limit to the hard limit.
func checkFiles(connections int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	if need := connections + spareFiles; uint64(need) > uint64(limit.Cur) {
		return fmt.Errorf("%w: %d connections need %d open files and this process may have %d: raise the limit with ulimit -n %d",
			ErrOptions, connections, need, limit.Cur, need)
	}
	return nil
}

// ownCPU returns the CPU seconds of this process.
func ownCPU() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
