//go:build !linux && !darwin && !freebsd && !nostore

package embedded

import "errors"

// diskOf is not known here: only Options.Disk limits the store.
func diskOf(string) (free, total, files int64, err error) { return 0, 0, 0, errors.ErrUnsupported }
