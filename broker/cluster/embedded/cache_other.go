//go:build !linux && !nostore

package embedded

// forget does nothing where the system cannot be asked for it.
func forget(string) error { return nil }
