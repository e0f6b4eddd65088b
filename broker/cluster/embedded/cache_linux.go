//go:build !nostore

package embedded

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// forget drops what the system has of files in memory, so that they are read
// from the device. After a write that failed the memory has what the device has
// not: an engine that reads it there would take it for stored.
func forget(path string) error {
	return filepath.WalkDir(path, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		_ = f.Sync() // an error of the past, or one that the engine meets, too
		return errors.Join(unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close())
	})
}
