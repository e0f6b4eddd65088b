package auth

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// MinSecretBytes is the shortest key of a [Secret]: as long as the hash it is used with.
const MinSecretBytes = 32

// Secret is a key that the operator shares with his back ends: it signs tickets and entitles to anonymous ones.
// Whoever knows it can sign a ticket for anybody. Formatting it with fmt, slog or encoding/json does not show the key.
type Secret struct {
	// ID names the key, in signed tickets too: 1 to 32 letters, digits, - and _. It is not secret.
	ID string
	// Key is at least [MinSecretBytes] of random.
	Key []byte `json:"-"`
}

// Format writes s for fmt, whatever the verb, without Key.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "secret "+s.ID) }

// TicketOptions say what tickets are like and how many there may be. Zero values are the defaults.
type TicketOptions struct {
	// TTL is how long a ticket lives, at most [MaxTicketTTL]; 300 s if zero. Clients use a ticket at once, so 30 s
	// do where clocks and networks are good.
	TTL time.Duration
	// Signed makes tickets that carry their principal, signed with HMAC-SHA-256, instead of random names for what is
	// in the Store: "v1.", the secret's ID, ".", the payload, ".", the signature. Any program that knows the secret
	// can mint them. They are as single-use as the others, but anybody who sees one can read its claims, they are
	// not counted by PerSubject, and those that are older than the process are refused, because it cannot know
	// whether they were used. For the same reason a ticket is taken by each of several brokers with the same secret.
	// TTL bounds them from when they were created, whatever they say of their end. docs/tickets.md has the format.
	Signed bool
	// Secrets are needed for signed and for anonymous tickets. The first one signs, all are accepted: to rotate, put
	// the new one last everywhere, then first, then take the old one away.
	Secrets []Secret
	// PerSubject is how many unused tickets a user may have; 100 if zero, no limit if negative.
	PerSubject int
	// Rate is how many tickets a second a user gets, at least one an hour, after Burst at once; 5 and 50 if zero. A
	// negative Rate is no limit.
	Rate  float64
	Burst int
	// MaxOutstanding is how many unused tickets, or used signed ones, there may be in all; 100,000 if zero, no limit
	// if negative. One costs some 500 bytes (amd64, 2026-11) and what is in its principal.
	MaxOutstanding int
}

const (
	minRate  = 1.0 / 3600
	maxBurst = 100_000
)

// secret is a Secret as it is used. The key is in a function, where fmt does not get at it: in a field it would be
// printed with whatever struct has a pointer to a Tickets, because fmt calls no method of a field that is not exported.
type secret struct {
	id  string
	sum digest                   // of the key, to compare with what a back end presents
	mac func(text string) string // signs with the key
}

// NewTickets returns Tickets that keep theirs in store. The error names the option that is wrong.
func NewTickets(store *Store, o TicketOptions) (*Tickets, error) {
	if store == nil {
		return nil, errors.New("auth: NewTickets needs a Store")
	}
	if o.TTL == 0 {
		o.TTL = 300 * time.Second
	}
	if o.TTL < time.Second || o.TTL > MaxTicketTTL {
		return nil, fmt.Errorf("auth: TicketOptions.TTL: %v is not between 1s and %v", o.TTL, MaxTicketTTL)
	}
	secrets, err := newSecrets(o.Secrets)
	if err != nil {
		return nil, err
	}
	if o.Signed && len(secrets) == 0 {
		return nil, errors.New("auth: TicketOptions.Signed needs a secret in TicketOptions.Secrets")
	}
	t := &Tickets{store: store, ttl: o.TTL, signed: o.Signed, secrets: secrets}
	t.perSubject = orDefault(o.PerSubject, 100)
	t.outstanding = orDefault(o.MaxOutstanding, 100_000)
	if t.rate.gap, t.rate.most, err = newRate(o.Rate, o.Burst); err != nil {
		return nil, err
	}
	return t, nil
}

func orDefault(n, otherwise int) int {
	switch {
	case n == 0:
		return otherwise
	case n < 0:
		return math.MaxInt
	}
	return n
}

func newRate(rate float64, burst int) (gap, most time.Duration, err error) {
	if rate < 0 {
		return 0, 0, nil
	}
	if rate == 0 {
		rate = 5
	}
	if burst == 0 {
		burst = 50
	}
	if !(rate >= minRate) { // nor NaN
		return 0, 0, fmt.Errorf("auth: TicketOptions.Rate: %v is less than one an hour", rate)
	}
	if burst < 0 || burst > maxBurst {
		return 0, 0, fmt.Errorf("auth: TicketOptions.Burst: %d is not between 1 and %d", burst, maxBurst)
	}
	gap = time.Duration(float64(time.Second) / rate)
	return gap, gap * time.Duration(burst), nil
}

func newSecrets(list []Secret) ([]secret, error) {
	secrets := make([]secret, 0, len(list))
	seen := make(map[string]bool)
	for i, s := range list {
		switch {
		case !validKeyID(s.ID):
			return nil, fmt.Errorf("auth: TicketOptions.Secrets: the ID of secret %d is not 1 to 32 letters, digits, - and _", i)
		case seen[s.ID]:
			return nil, fmt.Errorf("auth: TicketOptions.Secrets: the ID %s is there twice", s.ID)
		case len(s.Key) < MinSecretBytes:
			return nil, fmt.Errorf("auth: TicketOptions.Secrets: the key of %s has %d bytes instead of at least %d", s.ID, len(s.Key), MinSecretBytes)
		}
		seen[s.ID] = true
		secrets = append(secrets, secret{id: s.ID, sum: sha256.Sum256(s.Key), mac: signer(bytes.Clone(s.Key))})
	}
	return secrets, nil
}

func validKeyID(id string) bool {
	return id != "" && len(id) <= 32 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}
