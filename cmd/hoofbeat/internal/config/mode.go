package config

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// Modes of files, as bits that somebody else than the owner must not have.
const (
	othersWrite = 0o022 // the group or everybody can write it
	everyReads  = 0o004 // everybody can read it
)

// ReadPrivate reads a file with a secret in it. It refuses one that everybody can
// read or write, or that the group can write; the group may read, so that a
// service can get a key that belongs to root. It refuses one that is longer than
// limit bytes, too. The error has nothing of the content.
func ReadPrivate(path string, limit int64) ([]byte, error) {
	return readMode(path, "secret", limit, othersWrite|everyReads|0o001)
}

// Exposed returns an error if the mode of a file lets other users read content that
// they should not, such as hashes of passcodes. It returns nil if the file does not
// exist.
func Exposed(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil // reading the file reports the error
	}
	return checkMode(path, info, everyReads)
}

// readMode reads a file, which is what it is called, whose mode has none of the
// bits.
func readMode(path, what string, limit int64, bits fs.FileMode) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkMode(path, info, bits); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if size := max(info.Size(), int64(len(data))); err == nil && size > limit {
		err = fmt.Errorf("%s: %d bytes are no %s, the limit is %d", path, size, what, limit)
	}
	return data, err
}

// checkMode returns an error if the mode of a file has one of the bits.
func checkMode(path string, info fs.FileInfo, bits fs.FileMode) error {
	mode := info.Mode().Perm()
	if !info.Mode().IsRegular() || mode&bits == 0 || runtime.GOOS == "windows" {
		return nil
	}
	who := "everybody read or write it"
	if mode&bits&0o007 == 0 {
		who = "its group write it"
	}
	return fmt.Errorf("%s: mode %04o lets %s: chmod it to 0600, or to 0640 if the service reads it by its group", path, mode, who)
}
