package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// Secret is a secret, or the name of the file that it is in. Formatting it shows
// neither.
type Secret struct{ Text, File string }

// Format writes a constant, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "a secret") }

// Set reports whether there is one.
func (s Secret) Set() bool { return s.Text != "" || s.File != "" }

const maxSecret = 64 << 10

// Read returns the secret, from its file if it is in one, without white space
// around it. The file must be its owner's alone. An error names key and never
// has the secret in it.
func (s Secret) Read(key string) (string, error) {
	if s.File == "" {
		return strings.TrimSpace(s.Text), nil
	}
	text, err := s.readFile()
	if err != nil {
		return "", &KeyError{Key: key + "_file", Text: err.Error()}
	}
	return text, nil
}

func (s Secret) readFile() (string, error) {
	if s.Text != "" {
		return "", errors.New("and the secret itself are both given: want one")
	}
	info, err := os.Stat(s.File)
	switch {
	case err != nil:
		return "", err
	case info.Size() > maxSecret:
		return "", fmt.Errorf("%s: %d bytes are no secret, the limit is %d", s.File, info.Size(), maxSecret)
	case info.Mode().IsRegular() && info.Mode().Perm()&0o007 != 0 && runtime.GOOS != "windows":
		return "", fmt.Errorf("%s: mode %04o lets everybody read or write it, make it 0600", s.File, info.Mode().Perm())
	}
	data, err := os.ReadFile(s.File)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return "", fmt.Errorf("%s: is empty", s.File)
	}
	return text, nil
}
