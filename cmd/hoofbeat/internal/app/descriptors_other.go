//go:build !unix

package app

// openFiles returns how many files this process may open, or 0 if that is
// unknown.
func openFiles() int { return 0 }
