package app

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

const (
	// socketMode lets the owner and the group of the process connect.
	socketMode = 0o660
	// knockTimeout is how long an existing socket has to answer.
	knockTimeout = time.Second
)

// listen opens a listener at host:port or, for unix:/path, on a Unix socket,
// whose file is removed when the listener is closed.
func listen(address string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, config.UnixPrefix); ok {
		return listenUnix(path)
	}
	return net.Listen("tcp", address)
}

// listenUnix replaces a socket that another process left behind, and nothing
// else.
func listenUnix(path string) (net.Listener, error) {
	l, err := bindSocket(path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeAbandoned(path); err != nil {
			return nil, err
		}
		l, err = bindSocket(path)
	}
	return l, err
}

// bindSocket binds with a umask that denies others access to new files, so that
// the socket never has a wider mode than socketMode.
func bindSocket(path string) (net.Listener, error) {
	restore := umask(0o777 &^ socketMode)
	defer restore()
	return net.Listen("unix", path)
}

// removeAbandoned removes a socket that no process listens on.
func removeAbandoned(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there already, and is no socket", path)
	}
	c, err := net.DialTimeout("unix", path, knockTimeout)
	if err == nil {
		_ = c.Close() // the connection was only a test
		return fmt.Errorf("another program listens on %s", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s is there already, and whether a program listens on it is unknown: %w", path, err)
	}
	return os.Remove(path)
}
