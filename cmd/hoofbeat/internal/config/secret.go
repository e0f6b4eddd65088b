package config

import (
	"errors"
	"fmt"
	"io"
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
// around it. See [ReadPrivate] for the mode that the file must have. An error names key and never
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
	data, err := ReadPrivate(s.File, maxSecret)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return "", fmt.Errorf("%s: is empty", s.File)
	}
	return text, nil
}
