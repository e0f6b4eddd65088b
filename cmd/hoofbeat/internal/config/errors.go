package config

import (
	"errors"
	"fmt"
	"strings"
)

// KeyError says what is wrong with one key. Load joins all of them.
type KeyError struct {
	Source string // "hoofbeat.yaml:12", "environment", "command line", or "" for a combination of keys
	Key    string // the key, variable or flag as it was written
	Text   string // what is wrong and what is wanted; never a secret
}

func (e *KeyError) Error() string {
	if e.Source == "" {
		return fmt.Sprintf("%s: %s", e.Key, e.Text)
	}
	return fmt.Sprintf("%s: %s: %s", e.Source, e.Key, e.Text)
}

// About makes an error about a file that a key names one about the key, and each of
// several joined ones. nil stays nil.
func About(key string, err error) error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, About(key, e))
		}
		return errors.Join(all...)
	}
	return &KeyError{Key: key, Text: err.Error()}
}

// unknown is the text for a name that does not exist.
func unknown(what, name string, known []string) string {
	text := "there is no such " + what
	if near := Nearest(name, known); near != "" {
		text += ", did you mean " + near + "?"
	}
	return text
}

// Nearest returns the known name that was probably meant: the one with the
// fewest mistakes, in the whole name or in its last part, or "" when none is
// near.
func Nearest(name string, known []string) string {
	best, mistakes := "", max(2, len(name)/3)+1
	for _, k := range known {
		d := distance(name, k)
		// The right key in the wrong section is one mistake more.
		if leaf := distance(last(name), last(k)); leaf <= 1 && leaf+1 < d {
			d = leaf + 1
		}
		if d < mistakes {
			best, mistakes = k, d
		}
	}
	return best
}

func last(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to turn a into b; case does not count.
func distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
