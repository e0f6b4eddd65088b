//go:build !unix

package app

// umask does nothing on systems without such modes.
func umask(int) (restore func()) { return func() {} }
