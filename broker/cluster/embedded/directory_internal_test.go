//go:build !nostore

package embedded

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A process that was killed a moment ago may still have the directory.
func TestTheDirectoryOfAProcessThatIsEnding(t *testing.T) {
	dir := t.TempDir()
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := lockFile(lock); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { _ = lock.Close() })
	d, err := openDirectory(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
}
