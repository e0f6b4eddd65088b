//go:build unix

package app

import "syscall"

// umask changes the mode of files that this process makes, until restore.
func umask(mask int) (restore func()) {
	old := syscall.Umask(mask)
	return func() { syscall.Umask(old) }
}
