package ticket

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/internal/weight"
)

// Secret is a key that the operator shares with the backends. It signs
// tickets, and a backend presents it to get an anonymous ticket. Anyone who
// knows it can sign a ticket for any user. Formatting it with fmt, slog or
// encoding/json does not show the key.
type Secret struct {
	// ID names the key, also in signed tickets: 1 to 32 letters, digits, - and
	// _. It is not secret.
	ID string
	// Key has at least [auth.MinSecretBytes] random bytes.
	Key []byte `json:"-"`
}

// Format writes s without Key for every fmt verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "secret "+s.ID) }

// Options set the kind and the limits of tickets. Zero values mean the
// defaults.
type Options struct {
	// TTL is the lifetime of a ticket, at most [MaxTTL]; 0 means 300 s.
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
	// 100, negative means no limit. Their principals take at most 4 KiB of
	// memory each on average, but a user's may always take 256 KiB.
	PerSubject int
	// Rate is how many tickets a user may get per second, after an initial
	// Burst. The minimum Rate is one an hour. A Rate of 0 means 5, a Burst of 0
	// means 50. A negative Rate means no limit.
	Rate  float64
	Burst int
	// MaxOutstanding is the maximum number of unused tickets, or used signed
	// ones, in all; 0 means 100,000, negative means no limit. Each costs some
	// 530 bytes (amd64, 2026-11) plus its principal: at most 4 KiB on average.
	MaxOutstanding int
}

const (
	minRate  = 1.0 / 3600
	maxBurst = 100_000
)

// secret is the internal form of a Secret. The key is inside a function, where
// fmt cannot reach it: a key in a field would be printed with any struct that
// has a pointer to an Issuer, because fmt calls no methods of unexported
// fields.
type secret struct {
	id  string
	sum [sha256.Size]byte        // of the key, to compare with the secret that a backend presents
	mac func(text string) string // signs with the key
}

// New returns an Issuer that keeps its tickets in store and asks revocations
// about their principals. The broker must have the same revocations. The error
// names the invalid option.
func New(store Store, revocations *auth.Revocations, o Options) (*Issuer, error) {
	if store == nil || revocations == nil {
		return nil, errors.New("ticket: New needs a Store and Revocations")
	}
	if o.TTL == 0 {
		o.TTL = 300 * time.Second
	}
	if o.TTL < time.Second || o.TTL > MaxTTL {
		return nil, optionError("TTL", "%v is not between 1s and %v", o.TTL, MaxTTL)
	}
	secrets, err := newSecrets(o.Secrets)
	if err != nil {
		return nil, err
	}
	if o.Signed && len(secrets) == 0 {
		return nil, optionError("Signed", "needs a secret")
	}
	t := &Issuer{store: store, revocations: revocations, ttl: o.TTL, signed: o.Signed, secrets: secrets}
	t.limits = Limits{PerSubject: orDefault(o.PerSubject, 100), Outstanding: orDefault(o.MaxOutstanding, 100_000)}
	t.limits.SubjectBytes = max(bytesOf(t.limits.PerSubject), weight.MaxClaims)
	t.limits.Bytes = max(bytesOf(t.limits.Outstanding), weight.MaxClaims)
	if t.rate.gap, t.rate.most, err = newRate(o.Rate, o.Burst); err != nil {
		return nil, err
	}
	if m, ok := store.(*Memory); ok {
		m.follow(revocations)
		t.local = true
	}
	return t, nil
}

func optionError(field, format string, args ...any) error {
	return &auth.OptionError{Of: "ticket: Options", Field: field, Err: fmt.Errorf(format, args...)}
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

// averagePrincipal is the memory of a ticket's principal on average, in bytes,
// for which there is room.
const averagePrincipal = 4 << 10

// bytesOf returns the memory of the principals of that many tickets.
func bytesOf(tickets int) int64 {
	if tickets > math.MaxInt64/averagePrincipal {
		return math.MaxInt64
	}
	return int64(tickets) * averagePrincipal
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
		return 0, 0, optionError("Rate", "%v is less than one an hour", rate)
	}
	if burst < 0 || burst > maxBurst {
		return 0, 0, optionError("Burst", "%d is not between 1 and %d", burst, maxBurst)
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
			return nil, optionError("Secrets", "the ID of secret %d is not 1 to 32 letters, digits, - and _", i)
		case seen[s.ID]:
			return nil, optionError("Secrets", "the ID %s is there twice", s.ID)
		case len(s.Key) < auth.MinSecretBytes:
			return nil, optionError("Secrets", "the key of %s has %d bytes instead of at least %d", s.ID, len(s.Key), auth.MinSecretBytes)
		}
		seen[s.ID] = true
		secrets = append(secrets, secret{id: s.ID, sum: sha256.Sum256(s.Key), mac: signer(bytes.Clone(s.Key))})
	}
	return secrets, nil
}

func validKeyID(id string) bool {
	return id != "" && len(id) <= 32 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}
