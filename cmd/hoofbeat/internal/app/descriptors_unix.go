//go:build unix

package app

import (
	"math"
	"syscall"
)

// openFiles is how many files this process may open, 0 if that is not known. Go
// has raised the soft limit to the hard one already.
func openFiles() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || uint64(limit.Cur) > math.MaxInt32 {
		return 0
	}
	return int(limit.Cur)
}
