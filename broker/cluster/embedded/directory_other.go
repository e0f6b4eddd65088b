//go:build !unix && !nostore

package embedded

import (
	"errors"
	"io/fs"
	"os"
)

var errLocked = errors.New("locked")

// lockFile does nothing: this system has no lock that ends with its process
// under the same name. Start one process for each directory.
func lockFile(*os.File) error { return nil }

func checkOwner(string, fs.FileInfo) error { return nil }

func self() string { return "this user" }
