package users

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// Costs of [Hash]. Each step doubles the time to make a hash and to check a
// login.
const (
	// MinCost is bcrypt's minimum cost. It takes a millisecond and is meant for
	// tests.
	MinCost = bcrypt.MinCost
	// DefaultCost takes some 60 ms of one core on a small server (amd64,
	// 2026-11), so a core checks some 16 logins a second when all clients
	// reconnect after a restart.
	DefaultCost = 10
	// MaxCost takes some 4 s. With more, one login would occupy a core for
	// longer than CONNECT may take.
	MaxCost = 16
)

// MaxPasscodeBytes is the maximum length of a passcode in bytes. bcrypt ignores
// anything beyond it, so a longer passcode would be weaker than it looks. It is
// rejected by [Hash] and at login.
const MaxPasscodeBytes = 72

// Errors of [Hash].
var (
	ErrPasscodeEmpty   = errors.New("users: the passcode is empty")
	ErrPasscodeTooLong = errors.New("users: the passcode is longer than 72 bytes")
	ErrPasscodeNUL     = errors.New("users: the passcode contains a NUL")
)

// ErrCost reports a cost that is not between [MinCost] and [MaxCost].
var ErrCost = fmt.Errorf("users: the bcrypt cost is not between %d and %d", MinCost, MaxCost)

// Hash returns the bcrypt hash of passcode, 60 characters that begin with $2a$,
// for [User.Hash]. A cost of 0 means [DefaultCost]. Each hash has its own salt,
// so two hashes of one passcode differ.
//
// The error is [ErrPasscodeEmpty], [ErrPasscodeTooLong], [ErrPasscodeNUL],
// [ErrCost] or one of the source of randomness. It never contains the passcode.
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

// checkPasscode rejects passcodes that bcrypt would confuse with others: it
// reads only 72 bytes, and repeats a shorter key with a NUL in between, so that
// "a" and "a\x00a" are the same to it.
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

// Layout of a hash: $2b$10$ and then 22 characters of salt and 31 of digest in
// bcrypt's own base64.
const (
	hashBytes   = 60
	prefixBytes = 7
	alphabet    = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// parseHash validates a hash so thoroughly that a comparison can fail only
// because the passcode is wrong. It returns the hash's cost.
func parseHash(hash string) (cost int, err error) {
	if len(hash) != hashBytes {
		return 0, fmt.Errorf("not a bcrypt hash: it has %d bytes instead of %d", len(hash), hashBytes)
	}
	switch hash[:4] {
	case "$2a$", "$2b$", "$2y$":
	default:
		return 0, errors.New("not a bcrypt hash: it does not begin with $2a$, $2b$ or $2y$")
	}
	if strings.Trim(hash[prefixBytes:], alphabet) != "" || hash[prefixBytes-1] != '$' {
		return 0, errors.New("not a bcrypt hash: it is damaged")
	}
	if cost, err = bcrypt.Cost([]byte(hash)); err != nil || cost < MinCost || cost > MaxCost {
		return 0, ErrCost
	}
	return cost, nil
}

// dummyHash returns a hash with the given cost that matches no known passcode.
func dummyHash(cost int) string {
	return fmt.Sprintf("$2a$%02d$", cost) + strings.Repeat("O", hashBytes-prefixBytes)
}
