package admin

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
)

const (
	minToken = 16
	maxToken = 4096
)

// LoadOrCreateToken returns the token in the file at path, which is its first
// line. If the file does not exist, it creates one with mode 0600 and a new
// token of 32 random bytes in base64url, and created is true. The directory
// must exist.
//
// It is an error if users other than the owner can read or write the file
// (except on Windows, where the mode does not tell), or if it is not a regular
// file or contains no usable token. Errors contain the path but never the
// content of the file.
func LoadOrCreateToken(path string) (token string, created bool, err error) {
	token, err = loadToken(path)
	if errors.Is(err, fs.ErrNotExist) {
		token, err = createToken(path)
		created = err == nil
	}
	if err != nil {
		return "", false, fmt.Errorf("admin: token file %s: %w", path, withoutPath(err))
	}
	return token, created, nil
}

func loadToken(path string) (string, error) {
	if info, err := os.Stat(path); err != nil {
		return "", err
	} else if !info.Mode().IsRegular() {
		return "", errors.New("not an ordinary file") // opening a pipe would wait for its writer
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return "", fmt.Errorf("mode %04o lets users other than the owner read or write it: make it 0600", mode)
	}
	line, err := bufio.NewReader(io.LimitReader(f, maxToken+2)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	token := strings.TrimRight(line, "\r\n")
	return token, checkToken(token)
}

// createToken never overwrites a file: if two programs start together, one of
// them fails or reads the other's token.
func createToken(path string) (_ string, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path)) // an incomplete file would fail the next start
		}
	}()
	var random [32]byte
	rand.Read(random[:]) // never fails
	token := base64.RawURLEncoding.EncodeToString(random[:])
	_, err = f.WriteString(token + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	return token, nil
}

// withoutPath removes the path with which errors of package os begin.
func withoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// checkToken refuses a token that cannot be sent as a bearer token or is easy
// to guess. The error does not contain the token.
func checkToken(token string) error {
	switch {
	case token == "":
		return errors.New("the token is empty")
	case len(token) < minToken:
		return fmt.Errorf("the token is shorter than %d characters", minToken)
	case len(token) > maxToken:
		return fmt.Errorf("the token is longer than %d characters", maxToken)
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] >= 0x7f {
			return errors.New("the token has a character that is not visible ASCII")
		}
	}
	return nil
}
