//go:build (linux || darwin || freebsd) && !nostore

package embedded

import "golang.org/x/sys/unix"

// diskOf returns the bytes that this user can still write on the disk of path,
// the size of the disk, and how many files can be created; 1 if the file system
// has no such limit.
func diskOf(path string) (free, total, files int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, 0, err
	}
	files = 1
	if s.Files > 0 {
		files = int64(s.Ffree) //nolint:gosec // far below
	}
	block := int64(s.Bsize)                                             //nolint:unconvert // its type depends on the system
	return int64(s.Bavail) * block, int64(s.Blocks) * block, files, nil //nolint:gosec,unconvert // far below
}
