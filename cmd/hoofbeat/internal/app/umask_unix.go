//go:build unix

package app

import "syscall"

// umask sets the mask for the modes of new files, until restore is called.
func umask(mask int) (restore func()) {
	old := syscall.Umask(mask)
	return func() { syscall.Umask(old) }
}
