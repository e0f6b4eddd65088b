package webflow

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/auth"
)

// MaxTTL is the longest that an operation may wait.
const MaxTTL = 24 * time.Hour

// Registration says which ids a page may register.
type Registration uint8

const (
	// Announced admits only operations that [Flow.Open] has announced.
	Announced Registration = iota
	// Open admits every id: an operation that nobody announced belongs to who
	// registers it first, and a result for one that nobody registered is held.
	// This is what the original Web Flow does. Anybody who sees the id can
	// claim it.
	Open
)

// Reply says what a page is told when it has registered.
type Reply uint8

const (
	// Full is {"webSocketId":"…","registrationSucceeded":true}, which the real
	// Web Flow front end needs.
	Full Reply = iota
	// Minimal is {"webSocketId":"…"}, as the protocol's document has it. The
	// document knows no failure: a refusal is always the full form.
	Minimal
)

// Policy says what happens to an operation of [Owner] Anyone when a stranger
// registers it while the session that did so before is still connected. The same
// user, and whoever presents the poll token, may always move a registration.
type Policy uint8

const (
	// FirstWins refuses the stranger.
	FirstWins Policy = iota
	// LastWins lets him supersede the other, and so poll as well.
	LastWins
)

// Options configure a Flow. The zero value works: for numbers and durations zero
// is the default; a negative number is no limit.
type Options struct {
	Registration Registration
	Reply        Reply
	Policy       Policy

	// TTL is how long an operation waits unless [Operation.TTL] says otherwise,
	// and how long a terminal result is held from when it was reported. Default
	// 5 min, at most [MaxTTL].
	TTL time.Duration
	// Grace is the time between Lost and Abandoned. Default 30 s; negative is
	// none, so that both come at once.
	Grace time.Duration
	// HMACKey, when set, derives webSocketIds as HMAC-SHA-256 with this key, at
	// least 32 bytes, instead of SHA-512: nobody can compute the webSocketId from
	// an operation id that he has seen in a URL.
	HMACKey []byte

	// AuthResults are the results that may be reported, 1 to 64 printable bytes
	// each. Default [DefaultResults]: CONFIRMED, CANCELED, AUTH_FAILED, AUTH_METHOD_FAILED,
	// AUTH_METHOD_CHOSEN, AUTH_METHOD_DOWNGRADE, CONTINUE, FAILED and DONE: what
	// Web Flow's AuthResult and AuthStepResult can be.
	AuthResults []string
	// Interim are those of them after which the page goes on waiting; all others
	// are terminal. Default [DefaultInterim]: AUTH_FAILED, AUTH_METHOD_CHOSEN,
	// AUTH_METHOD_DOWNGRADE and CONTINUE, as far as AuthResults has them. An
	// empty list that is not nil makes all terminal.
	Interim []string
	// ExpiredResult, when set, is reported for an operation whose TTL ends
	// without a terminal result. It is one of the terminal AuthResults.
	ExpiredResult string

	// MaxOperations bounds the operations, registered or not. Default 1,000,000.
	MaxOperations int
	// MaxPerUser bounds the operations that one user, or the anonymous sessions of one
	// address (of one /64 for IPv6) together, have taken up in the mode [Open] without
	// an announcement. Sessions with [auth.RoleBackend] are not bound. Default 10,000.
	MaxPerUser int
	// MaxPerSession bounds the operations one session has registered, and the
	// replies held for it. Default 16.
	MaxPerSession int
	// MaxIDBytes bounds a webSocketId. Default 256.
	MaxIDBytes int
	// MaxInterim bounds the interim results of one operation. Default 100.
	MaxInterim int
	// PollInterval is the least time between two polls of one operation by its
	// owner. Default 100 ms; negative is none.
	PollInterval time.Duration

	// Registered is called when a session has registered an operation.
	Registered func(Event)
	// Lost is called when the session that had registered has ended, whether
	// there is a result or not. What was superseded is not lost.
	Lost func(Event)
	// Abandoned is called Grace after Lost, unless there is a terminal result or
	// the owner has registered again. The event is that of the loss.
	Abandoned func(Event)
	// Expired is called when the TTL ends without a terminal result.
	Expired func(Event)
	// Delivered is called when a result is handed to a session for the first time.
	Delivered func(Event)
	// Acknowledged is called when a page has acknowledged a result, once. Pages that
	// subscribe with ack:auto never do.
	Acknowledged func(Event)

	// Logger hears of callbacks that panic. Nil discards.
	Logger *slog.Logger
}

// DefaultResults returns what may be reported unless Options.AuthResults says
// otherwise, to add one's own to it.
func DefaultResults() []string {
	return []string{
		"CONFIRMED", "CANCELED", "AUTH_FAILED", "AUTH_METHOD_FAILED", "AUTH_METHOD_CHOSEN",
		"AUTH_METHOD_DOWNGRADE", "CONTINUE", "FAILED", "DONE",
	}
}

// DefaultInterim returns those of the DefaultResults after which the page goes on
// waiting.
func DefaultInterim() []string {
	return []string{"AUTH_FAILED", "AUTH_METHOD_CHOSEN", "AUTH_METHOD_DOWNGRADE", "CONTINUE"}
}

const maxResultBytes = 64

func (o Options) withDefaults() (Options, error) {
	number := func(v *int, otherwise int) {
		if *v == 0 {
			*v = otherwise
		} else if *v < 0 {
			*v = math.MaxInt
		}
	}
	duration := func(v *time.Duration, otherwise time.Duration) {
		if *v == 0 {
			*v = otherwise
		}
	}
	duration(&o.TTL, 5*time.Minute)
	duration(&o.Grace, 30*time.Second)
	duration(&o.PollInterval, 100*time.Millisecond)
	number(&o.MaxOperations, 1_000_000)
	number(&o.MaxPerUser, 10_000)
	number(&o.MaxPerSession, 16)
	number(&o.MaxInterim, 100)
	if o.MaxIDBytes == 0 {
		o.MaxIDBytes = 256
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.AuthResults == nil {
		o.AuthResults = DefaultResults()
	}
	o.AuthResults = slices.Clone(o.AuthResults)
	if o.Interim == nil {
		o.Interim = slices.DeleteFunc(DefaultInterim(), func(r string) bool { return !slices.Contains(o.AuthResults, r) })
	}
	o.Interim = slices.Clone(o.Interim)
	o.HMACKey = slices.Clone(o.HMACKey)
	return o, o.validate()
}

func (o *Options) validate() error {
	switch {
	case o.Registration > Open:
		return fmt.Errorf("webflow: Options.Registration %d is neither Announced nor Open", o.Registration)
	case o.Reply > Minimal:
		return fmt.Errorf("webflow: Options.Reply %d is neither Full nor Minimal", o.Reply)
	case o.Policy > LastWins:
		return fmt.Errorf("webflow: Options.Policy %d is neither FirstWins nor LastWins", o.Policy)
	case o.TTL < 0 || o.TTL > MaxTTL:
		return fmt.Errorf("webflow: Options.TTL %v is not between 0 and %v", o.TTL, MaxTTL)
	case o.Grace > MaxTTL:
		return fmt.Errorf("webflow: Options.Grace %v is longer than %v", o.Grace, MaxTTL)
	case o.HMACKey != nil && len(o.HMACKey) < auth.MinSecretBytes:
		return fmt.Errorf("webflow: Options.HMACKey has %d bytes instead of at least %d", len(o.HMACKey), auth.MinSecretBytes)
	case o.MaxIDBytes < 0 || o.MaxIDBytes > 4096:
		return fmt.Errorf("webflow: Options.MaxIDBytes %d is not between 1 and 4096", o.MaxIDBytes)
	case len(o.AuthResults) == 0:
		return errors.New("webflow: Options.AuthResults is empty, so nothing could be reported")
	}
	for _, r := range o.AuthResults {
		if !validText(r, maxResultBytes) {
			return fmt.Errorf("webflow: Options.AuthResults: %q is not 1 to %d bytes of printable text", r, maxResultBytes)
		}
	}
	for _, r := range o.Interim {
		if !slices.Contains(o.AuthResults, r) {
			return fmt.Errorf("webflow: Options.Interim: %q is not one of AuthResults", r)
		}
	}
	if r := o.ExpiredResult; r != "" && (!slices.Contains(o.AuthResults, r) || slices.Contains(o.Interim, r)) {
		return fmt.Errorf("webflow: Options.ExpiredResult %q is not a terminal one of AuthResults", r)
	}
	return nil
}

// validText reports whether s is 1 to most bytes of UTF-8 without control characters.
func validText(s string, most int) bool {
	return s != "" && len(s) <= most && utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}
