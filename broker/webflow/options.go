package webflow

import (
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

// MaxTTL is the longest time that an operation may wait.
const MaxTTL = 24 * time.Hour

// Registration selects which webSocketIds a page may register.
type Registration uint8

const (
	// Announced accepts only operations that [Flow.Open] has announced.
	Announced Registration = iota
	// Open accepts every id. An unannounced operation belongs to the first
	// session that registers it, and a result for an operation that no session
	// has registered yet is held. The original Web Flow works this way. Any
	// client that sees the id can claim the operation.
	Open
)

// Reply selects the body of the reply to a successful registration.
type Reply uint8

const (
	// Full is {"webSocketId":"…","registrationSucceeded":true}, which the real
	// Web Flow front end needs.
	Full Reply = iota
	// Minimal is {"webSocketId":"…"}, as the protocol document specifies. That
	// document defines no failure, so a refusal always has the full form.
	Minimal
)

// Policy selects what happens when a different user registers an operation of
// [Owner] Anyone while the session that registered it is still connected. The
// same user, and any session that presents the poll token, may always take over
// the registration.
type Policy uint8

const (
	// FirstWins refuses the second user.
	FirstWins Policy = iota
	// LastWins lets the second user supersede the first, and therefore also
	// poll.
	LastWins
)

// Options configures a Flow. The zero value works. For numbers and durations
// zero means the default. A negative number means no limit, except for
// MaxIDBytes and TTL, which must not be negative.
type Options struct {
	// Store keeps the records of the operations. Flows of several brokers that
	// share one work together: it does not matter which of them a page is
	// connected to, and which the program calls. Their Options must be the
	// same, but for the callbacks and the Logger. Nil: a new [Memory].
	Store Store
	// Ended reports whether a session has ended that a record in the Store says
	// waits: its node died before it could write that. New asks it for each such
	// record, and the session then counts as lost. A broker that is alone with
	// its Store returns true, since no session outlives it. Nil: false.
	Ended func(session string) bool

	Registration Registration
	Reply        Reply
	Policy       Policy

	// TTL is how long an operation waits unless [Operation.TTL] says otherwise,
	// and how long a terminal result is held after it was reported. Default 5
	// min, at most [MaxTTL].
	TTL time.Duration
	// Grace is the time between Lost and Abandoned. Default 30 s, at most
	// [MaxTTL]. If it is negative there is none, and both are called at once.
	Grace time.Duration
	// HMACKey, when set, derives webSocketIds with HMAC-SHA-256 instead of
	// SHA-512. Then nobody can compute the webSocketId from an operation id
	// seen in a URL. At least 32 bytes.
	HMACKey []byte

	// AuthResults lists the results that may be reported, 1 to 64 bytes of
	// printable text each. Default [DefaultResults]: CONFIRMED, CANCELED,
	// AUTH_FAILED, AUTH_METHOD_FAILED, AUTH_METHOD_CHOSEN,
	// AUTH_METHOD_DOWNGRADE, CONTINUE, FAILED and DONE, which are the values of
	// Web Flow's AuthResult and AuthStepResult.
	AuthResults []string
	// Interim lists the AuthResults after which the page continues to wait; all
	// others are terminal. Default [DefaultInterim]: AUTH_FAILED,
	// AUTH_METHOD_CHOSEN, AUTH_METHOD_DOWNGRADE and CONTINUE, as far as
	// AuthResults includes them. An empty list that is not nil makes every
	// result terminal.
	Interim []string
	// ExpiredResult, when set, is reported for an operation whose TTL ends
	// without a terminal result. It must be one of the terminal AuthResults.
	ExpiredResult string

	// MaxOperations limits the operations, registered or not. Default
	// 1,000,000.
	MaxOperations int
	// MaxPerUser limits how many unannounced operations one user can hold in
	// the mode [Open]. All anonymous sessions from one address (one /64 for
	// IPv6) count as one user. Sessions with [auth.RoleBackend] are exempt.
	// Default 10,000.
	MaxPerUser int
	// MaxPerSession limits the operations that one session has registered, and
	// the replies held for it. Default 16.
	MaxPerSession int
	// MaxIDBytes limits the length of a webSocketId. Default 256, at most 4096.
	MaxIDBytes int
	// MaxInterim limits the interim results of one operation. Default 100.
	MaxInterim int
	// PollInterval is the minimum time between two polls of one operation by
	// its owner. Default 100 ms; a negative value means none.
	PollInterval time.Duration

	// Registered is called when a session registers an operation that it does
	// not hold already.
	Registered func(Event)
	// Lost is called when the session that registered an operation ends,
	// whether or not there is a result. It is not called for a superseded
	// session.
	Lost func(Event)
	// Abandoned is called Grace after Lost, unless there is a terminal result
	// or the owner has registered again. Its event is that of the loss.
	Abandoned func(Event)
	// Expired is called when the TTL ends without a terminal result.
	Expired func(Event)
	// Delivered is called when a result is handed to a session for the first
	// time.
	Delivered func(Event)
	// Acknowledged is called once, when a page acknowledges a result. It is
	// never called for pages that subscribe with ack:auto.
	Acknowledged func(Event)

	// Logger logs callbacks that panic, and a Store that fails. Nil discards.
	Logger *slog.Logger
}

// DefaultResults returns a copy of the default of Options.AuthResults. Append
// to it to add results.
func DefaultResults() []string {
	return []string{
		"CONFIRMED", "CANCELED", "AUTH_FAILED", "AUTH_METHOD_FAILED", "AUTH_METHOD_CHOSEN",
		"AUTH_METHOD_DOWNGRADE", "CONTINUE", "FAILED", "DONE",
	}
}

// DefaultInterim returns the DefaultResults after which the page continues to
// wait.
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
	if o.Store == nil {
		o.Store = NewMemory()
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

func optionError(field, format string, args ...any) error {
	return &auth.OptionError{Of: "webflow: Options", Field: field, Err: fmt.Errorf(format, args...)}
}

func (o *Options) validate() error {
	switch {
	case o.Registration > Open:
		return optionError("Registration", "%d is neither Announced nor Open", o.Registration)
	case o.Reply > Minimal:
		return optionError("Reply", "%d is neither Full nor Minimal", o.Reply)
	case o.Policy > LastWins:
		return optionError("Policy", "%d is neither FirstWins nor LastWins", o.Policy)
	case o.TTL < 0 || o.TTL > MaxTTL:
		return optionError("TTL", "%v is not between 0 and %v", o.TTL, MaxTTL)
	case o.Grace > MaxTTL:
		return optionError("Grace", "%v is longer than %v", o.Grace, MaxTTL)
	case o.HMACKey != nil && len(o.HMACKey) < auth.MinSecretBytes:
		return optionError("HMACKey", "has %d bytes instead of at least %d", len(o.HMACKey), auth.MinSecretBytes)
	case o.MaxIDBytes < 0 || o.MaxIDBytes > 4096:
		return optionError("MaxIDBytes", "%d is not between 1 and 4096", o.MaxIDBytes)
	case len(o.AuthResults) == 0:
		return optionError("AuthResults", "is empty: there is no result to report")
	}
	for _, r := range o.AuthResults {
		if !validText(r, maxResultBytes) {
			return optionError("AuthResults", "%q is not 1 to %d bytes of printable text", r, maxResultBytes)
		}
	}
	for _, r := range o.Interim {
		if !slices.Contains(o.AuthResults, r) {
			return optionError("Interim", "%q is not one of the results", r)
		}
	}
	if r := o.ExpiredResult; r != "" && (!slices.Contains(o.AuthResults, r) || slices.Contains(o.Interim, r)) {
		return optionError("ExpiredResult", "%q is not a terminal one of the results", r)
	}
	return nil
}

// validText reports whether s is 1 to most bytes of UTF-8 without control
// characters.
func validText(s string, most int) bool {
	return s != "" && len(s) <= most && (plain(s) || utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0)
}

// plain reports whether s has only printable ASCII characters, as most ids
// have.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
