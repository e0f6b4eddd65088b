package embedded

import (
	"errors"
	"fmt"
	"syscall"
)

// ErrUnavailable is what the errors of an engine that cannot write have in
// common. See [Server.Watch].
var ErrUnavailable = errors.New("the store is not available")

// ErrLeftOut is the error of [Start], [Check] and [Rekey] in a program that was
// built with the tag nostore, without the engine.
var ErrLeftOut = errors.New("this program was built without a store (tag nostore)")

// ErrExporting says that the store is being exported already.
var ErrExporting = errors.New("the store is being exported already")

// ExportError says why an export cannot be used.
type ExportError struct{ Text string }

func (e *ExportError) Error() string { return e.Text }

// unavailableError names the reason without what a client must not learn.
type unavailableError struct{ reason string }

func (e *unavailableError) Error() string   { return ErrUnavailable.Error() + ": " + e.reason }
func (e *unavailableError) Is(t error) bool { return t == ErrUnavailable }

// OptionError says what is wrong with an option, or with what it names, and
// what to do. It never contains a key.
type OptionError struct {
	Field string // of Options: Dir, Disk or Key
	Err   error
}

func (e *OptionError) Error() string { return "embedded: Options." + e.Field + ": " + e.Err.Error() }
func (e *OptionError) Unwrap() error { return e.Err }

func dirError(format string, v ...any) error {
	return &OptionError{Field: "Dir", Err: fmt.Errorf(format, v...)}
}

// diskError says what to do about an error of the file system.
func diskError(path string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return dirError("the disk of %s is full: make room on it (%w)", path, err)
	case errors.Is(err, syscall.EROFS):
		return dirError("%s is on a file system that is mounted read-only: mount it read-write, or use another directory", path)
	}
	return dirError("%w", err)
}

func keyError(format string, v ...any) error {
	return &OptionError{Field: "Key", Err: fmt.Errorf(format, v...)}
}
