//go:build unix && !nostore

package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

var errLocked = errors.New("locked")

// lockFile takes the lock of a file until it is closed, or the process ends in
// whatever way.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return err
}

// checkOwner refuses a directory that somebody else could replace, or in which
// root would leave files that the owner cannot read. A directory of root in
// which this user can write is usual for mounted volumes.
func checkOwner(path string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if owner := int(stat.Uid); owner != os.Geteuid() && owner != 0 {
		return dirError("%s belongs to %s, but this process runs as %s: run hoofbeat as %[2]s, or change the owner with chown", path, userName(owner), self())
	}
	if mode := info.Mode(); mode&0o002 != 0 && mode&fs.ModeSticky == 0 {
		return dirError("%s can be written by every user of this machine: chmod o-w %[1]s", path)
	}
	return nil
}

func self() string { return userName(os.Geteuid()) }

func userName(id int) string {
	if u, err := user.LookupId(strconv.Itoa(id)); err == nil {
		return u.Username
	}
	return fmt.Sprintf("the user %d", id)
}
