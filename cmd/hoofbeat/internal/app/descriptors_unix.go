//go:build unix

package app

import (
	"math"
	"syscall"
)

// openFiles returns how many files this process may open, or 0 if that is
// unknown. Go has already raised the soft limit to the hard limit.
func openFiles() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || uint64(limit.Cur) > math.MaxInt32 {
		return 0
	}
	return int(limit.Cur)
}
