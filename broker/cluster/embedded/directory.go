//go:build !nostore

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// The files of a store. The engine's are below engineDir.
const (
	lockName     = "lock"
	manifestName = "manifest.json"
	engineDir    = "jetstream"
	streamsDir   = engineDir + "/$G/streams"
)

// directory is a store's directory that this process has locked.
type directory struct {
	path string
	lock *os.File
}

// openDirectory checks that the directory can be used, creates it if only its
// last element is missing, and locks it.
func openDirectory(ctx context.Context, path string) (*directory, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, dirError("%s: %w", path, err)
	}
	if err := makeDirectory(path); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, dirError("%s cannot be written by %s: run hoofbeat as the owner of the directory, or change the owner with chown", path, self())
	case err != nil:
		return nil, diskError(path, err)
	}
	if err := lockSoon(ctx, lock); err != nil {
		holder := holderOf(lock)
		_ = lock.Close() // the error to return is the other one
		if errors.Is(err, errLocked) {
			return nil, dirError("%s is used by another process%s: stop it first, or use another directory. Two processes would destroy each other's files", path, holder)
		}
		return nil, dirError("locking %s: %w", path, err)
	}
	d := &directory{path: path, lock: lock}
	// For the error above, in another process.
	if err := errors.Join(lock.Truncate(0), writeAt(lock, fmt.Sprintf("%d\n", os.Getpid()))); err != nil {
		return nil, errors.Join(diskError(path, err), d.close())
	}
	return d, nil
}

// leaving is how long a process that was killed may take to end. Until then it
// has the lock.
const leaving = 2 * time.Second

// lockSoon locks a file. It waits for a process that is just ending.
func lockSoon(ctx context.Context, lock *os.File) error {
	end := time.NewTimer(leaving)
	defer end.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := lockFile(lock)
		if !errors.Is(err, errLocked) {
			return err
		}
		select {
		case <-again.C:
		case <-end.C:
			return err
		case <-ctx.Done():
			return err
		}
	}
}

func makeDirectory(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if parent := filepath.Dir(path); !isDirectory(parent) {
			return dirError("%s does not exist, and neither does the directory %s: create it, or mount what belongs there", path, parent)
		}
		if err := os.Mkdir(path, 0o700); errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOSPC) {
			return diskError(path, err)
		} else if err != nil {
			return dirError("%w: create it as root and give it to %s, or use another directory", err, self())
		}
		return syncDirectory(filepath.Dir(path))
	case errors.Is(err, syscall.ENOTDIR), err == nil && !info.IsDir():
		return dirError("%s is not a directory: use another name, or remove the file", path)
	case err != nil:
		return dirError("%w", err)
	}
	return checkOwner(path, info)
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// holderOf names the process that has the lock, if it has written its number.
func holderOf(lock *os.File) string {
	var pid int
	if _, err := fmt.Fscan(lock, &pid); err != nil {
		return ""
	}
	return fmt.Sprintf(" (%d)", pid)
}

// close gives the directory back. The lock file stays: whoever removed it would
// take it from a process that has just opened it.
func (d *directory) close() error { return d.lock.Close() }

// probe writes and syncs a file, to find out whether the disk takes data again.
func (d *directory) probe() (err error) {
	path := filepath.Join(d.path, "probe")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(path)) }()
	_, err = f.Write(make([]byte, 1<<20))
	return errors.Join(err, f.Sync(), f.Close())
}

// write replaces a file of the directory: after a crash it has the old content
// or the new.
func (d *directory) write(name string, data []byte) error {
	path := filepath.Join(d.path, name)
	if err := writeSynced(path+".new", data); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDirectory(d.path)
}

// writeSynced writes a file and waits until it is on the disk.
func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// syncDirectory makes the names in a directory survive a power failure.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// engineFiles reports whether the engine has stored anything.
func (d *directory) engineFiles() bool {
	entries, err := os.ReadDir(filepath.Join(d.path, engineDir))
	return err == nil && len(entries) > 0
}
