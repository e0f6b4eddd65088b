package users

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// Costs of [Hash]. Each step doubles the time a hash takes to make and every login takes to check.
const (
	// MinCost is the least that bcrypt knows. It is for tests: it takes a millisecond.
	MinCost = bcrypt.MinCost
	// DefaultCost takes some 60 ms of one core on a small server (amd64, 2026-11), so that a core checks some
	// 16 logins a second when all clients come back after a restart.
	DefaultCost = 10
	// MaxCost takes some 4 s. More would let a single login hold a core for longer than CONNECT may take.
	MaxCost = 16
)

// MaxPasscodeBytes is the longest passcode, in bytes. bcrypt ignores what is behind it, so a longer one would be
// weaker than it looks; it is refused, when it is hashed as well as at login.
const MaxPasscodeBytes = 72

// Errors of [Hash].
var (
	ErrPasscodeEmpty   = errors.New("users: the passcode is empty")
	ErrPasscodeTooLong = errors.New("users: the passcode is longer than 72 bytes")
	ErrPasscodeNUL     = errors.New("users: the passcode contains a NUL")
)

// ErrCost says that a cost is not between [MinCost] and [MaxCost].
var ErrCost = fmt.Errorf("users: the bcrypt cost is not between %d and %d", MinCost, MaxCost)

// Hash returns the bcrypt hash of passcode, 60 characters that begin with $2a$, for [User.Hash]. A cost of 0 means
// [DefaultCost]. Two hashes of one passcode differ, because each has its own salt.
//
// The error is [ErrPasscodeEmpty], [ErrPasscodeTooLong], [ErrPasscodeNUL], [ErrCost] or one of the source of
// randomness, and never contains the passcode.
func Hash(passcode string, cost int) (string, error) {
	if cost == 0 {
		cost = DefaultCost
	}
	if cost < MinCost || cost > MaxCost {
		return "", ErrCost
	}
	if err := checkPasscode(passcode); err != nil {
		return "", err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(passcode), cost)
	if err != nil {
		return "", fmt.Errorf("users: hash: %w", err)
	}
	return string(hash), nil
}

// checkPasscode keeps out what bcrypt would confuse with another passcode: it reads 72 bytes and no more, and
// repeats a shorter key with a NUL in between, so that "a" and "a\x00a" are one to it.
func checkPasscode(passcode string) error {
	switch {
	case passcode == "":
		return ErrPasscodeEmpty
	case len(passcode) > MaxPasscodeBytes:
		return ErrPasscodeTooLong
	case strings.IndexByte(passcode, 0) >= 0:
		return ErrPasscodeNUL
	}
	return nil
}

// Layout of a hash: $2b$10$ and then 22 characters of salt and 31 of digest in bcrypt's own base64.
const (
	hashBytes   = 60
	prefixBytes = 7
	alphabet    = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// parseHash checks a hash so thoroughly that comparing a passcode with it cannot fail for another reason than a
// wrong passcode, and returns its cost.
func parseHash(hash string) (cost int, err error) {
	if len(hash) != hashBytes {
		return 0, fmt.Errorf("the hash is not one of bcrypt: it has %d bytes instead of %d", len(hash), hashBytes)
	}
	switch hash[:4] {
	case "$2a$", "$2b$", "$2y$":
	default:
		return 0, errors.New("the hash is not one of bcrypt: it does not begin with $2a$, $2b$ or $2y$")
	}
	if strings.Trim(hash[prefixBytes:], alphabet) != "" || hash[prefixBytes-1] != '$' {
		return 0, errors.New("the hash is not one of bcrypt: it is damaged")
	}
	if cost, err = bcrypt.Cost([]byte(hash)); err != nil || cost < MinCost || cost > MaxCost {
		return 0, ErrCost
	}
	return cost, nil
}

// dummyHash is a hash of the cost that no known passcode has.
func dummyHash(cost int) string {
	return fmt.Sprintf("$2a$%02d$", cost) + strings.Repeat("O", hashBytes-prefixBytes)
}
