//go:build unix

package bench

import (
	"fmt"
	"syscall"
)

// spareFiles are for everything that is not a connection.
const spareFiles = 32

// checkFiles reports whether the process may open so many connections. Go has
// raised the soft limit to the hard one already.
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
