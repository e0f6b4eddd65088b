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

// MinSecretBytes is the minimum length of a [Secret]'s key: the length of the
// hash used with it.
const MinSecretBytes = 32

// Secret is a key that the operator shares with the backends. It signs
// tickets, and a backend presents it to get an anonymous ticket. Anyone who
// knows it can sign a ticket for any user. Formatting it with fmt, slog or
// encoding/json does not show the key.
type Secret struct {
	// ID names the key, also in signed tickets: 1 to 32 letters, digits, - and
	// _. It is not secret.
	ID string
	// Key has at least [MinSecretBytes] random bytes.
	Key []byte `json:"-"`
}

// Format writes s without Key for every fmt verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "secret "+s.ID) }

// TicketOptions set the kind and the limits of tickets. Zero values mean the
// defaults.
type TicketOptions struct {
	// TTL is the lifetime of a ticket, at most [MaxTicketTTL]; 0 means 300 s.
	// Clients use a ticket at once, so 30 s suffice where clocks and networks
	// are good.
	TTL time.Duration
	// Signed makes tickets that contain their principal, signed with
	// HMAC-SHA-256, instead of opaque random keys for entries of the Store. The
	// format is "v1.", the secret's ID, ".", the payload, ".", the signature;
	// see docs/tickets.md. Any program that knows the secret can mint them.
	//
	// Signed tickets are single-use, with these differences: anyone who sees
	// one can read its claims; PerSubject does not count them; and a ticket
	// older than the process is rejected, because the process cannot know
	// whether it was used. For the same reason each of several brokers with the
	// same secret accepts the ticket once. TTL limits their life from the time
	// of creation, whatever expiry they state.
	Signed bool
	// Secrets are required for signed and for anonymous tickets. The first one
	// signs; all are accepted. To rotate, add the new secret last on every
	// broker, then move it to the front, then remove the old one.
	Secrets []Secret
	// PerSubject is the maximum number of unused tickets of a user; 0 means
	// 100, negative means no limit.
	PerSubject int
	// Rate is how many tickets a user may get per second, after an initial
	// Burst. The minimum Rate is one an hour. A Rate of 0 means 5, a Burst of 0
	// means 50. A negative Rate means no limit.
	Rate  float64
	Burst int
	// MaxOutstanding is the maximum number of unused tickets, or used signed
	// ones, in all; 0 means 100,000, negative means no limit. Each costs some
	// 500 bytes (amd64, 2026-11) plus its principal.
	MaxOutstanding int
}

const (
	minRate  = 1.0 / 3600
	maxBurst = 100_000
)

// secret is the internal form of a Secret. The key is inside a function, where
// fmt cannot reach it: a key in a field would be printed with any struct that
// has a pointer to a Tickets, because fmt calls no methods of unexported
// fields.
type secret struct {
	id  string
	sum digest                   // of the key, to compare with the secret that a backend presents
	mac func(text string) string // signs with the key
}

// NewTickets returns Tickets that keep their state in store. The error names
// the invalid option.
func NewTickets(store *Store, o TicketOptions) (*Tickets, error) {
	if store == nil {
		return nil, errors.New("auth: NewTickets needs a Store")
	}
	if o.TTL == 0 {
		o.TTL = 300 * time.Second
	}
	if o.TTL < time.Second || o.TTL > MaxTicketTTL {
		return nil, ticketOption("TTL", "%v is not between 1s and %v", o.TTL, MaxTicketTTL)
	}
	secrets, err := newSecrets(o.Secrets)
	if err != nil {
		return nil, err
	}
	if o.Signed && len(secrets) == 0 {
		return nil, ticketOption("Signed", "needs a secret")
	}
	t := &Tickets{store: store, ttl: o.TTL, signed: o.Signed, secrets: secrets}
	t.perSubject = orDefault(o.PerSubject, 100)
	t.outstanding = orDefault(o.MaxOutstanding, 100_000)
	if t.rate.gap, t.rate.most, err = newRate(o.Rate, o.Burst); err != nil {
		return nil, err
	}
	return t, nil
}

func ticketOption(field, format string, args ...any) error {
	return &OptionError{Of: "auth: TicketOptions", Field: field, Err: fmt.Errorf(format, args...)}
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
		return 0, 0, ticketOption("Rate", "%v is less than one an hour", rate)
	}
	if burst < 0 || burst > maxBurst {
		return 0, 0, ticketOption("Burst", "%d is not between 1 and %d", burst, maxBurst)
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
			return nil, ticketOption("Secrets", "the ID of secret %d is not 1 to 32 letters, digits, - and _", i)
		case seen[s.ID]:
			return nil, ticketOption("Secrets", "the ID %s is there twice", s.ID)
		case len(s.Key) < MinSecretBytes:
			return nil, ticketOption("Secrets", "the key of %s has %d bytes instead of at least %d", s.ID, len(s.Key), MinSecretBytes)
		}
		seen[s.ID] = true
		secrets = append(secrets, secret{id: s.ID, sum: sha256.Sum256(s.Key), mac: signer(bytes.Clone(s.Key))})
	}
	return secrets, nil
}

func validKeyID(id string) bool {
	return id != "" && len(id) <= 32 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}
