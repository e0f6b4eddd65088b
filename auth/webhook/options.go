package webhook

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// Event is what a question is about, as its event member says it.
type Event string

// The events that a backend can be asked about.
const (
	Handshake Event = "handshake" // the HTTP request for a WebSocket: [auth.StageHandshake]
	Connect   Event = "connect"   // the CONNECT frame: [auth.StageConnect]
	Renew     Event = "renew"     // a new credential for a session: [auth.StageRenew]
	Subscribe Event = "subscribe" // a SUBSCRIBE, or a message that a pattern of the client's matches
	Send      Event = "send"      // a SEND
	// Recheck is whether a client that the backend has let in is still welcome. It is
	// asked if [Options.Recheck] says so, and need not be among [Options.Events].
	Recheck Event = "recheck"
	Wait    Event = "wait" // a ticket for an operation: [Webhook.MayWait]
)

// Defaults and limits of [Options].
const (
	// DefaultTimeout is the default of [Options.Timeout].
	DefaultTimeout = 2 * time.Second
	// DefaultCacheTTL is the default of [Options.CacheTTL].
	DefaultCacheTTL = 10 * time.Second
	// DefaultCacheSize is the default of [Options.CacheSize], in answers.
	DefaultCacheSize = 10_000
	// DefaultConcurrency is the default of [Options.Concurrency], in questions of either kind.
	DefaultConcurrency = 64
	// MaxAge is the longest that an answer is remembered, whatever its max_age says, so that a permission that was
	// taken back is gone within it.
	MaxAge = 5 * time.Minute
)

// Options say whom to ask about what. Only URL is required. [New] copies what it needs.
type Options struct {
	// URL is where questions are posted: https, or http to loopback. It has no user, password or fragment. Its
	// query is never logged.
	URL string
	// AllowHTTP accepts an http URL to anywhere. Everybody on the way can then read the credentials of clients, and
	// answer in the backend's place.
	AllowHTTP bool
	// Secret signs the questions, so that the backend knows that they are the broker's: 32 random bytes are good.
	// If it is empty, they are not signed, and the backend must not be reachable by anybody else.
	Secret string
	// Events are what the backend is asked about. Nil means all but [Handshake], where a client has not sent its
	// login yet, and [Wait], to which a backend that does not know it might say yes. At another stage the Webhook answers [auth.ErrNotMine]; other actions are left to Fallback.
	Events []Event

	// Headers are the headers of the HTTP request that a question has in headers. Nil means Authorization, Cookie,
	// Origin and User-Agent. Values of a name that came several times are joined with a comma, cookies with a
	// semicolon. What is not UTF-8 is left out.
	Headers []string
	// FrameHeaders are the headers of the CONNECT frame (for [Renew], of the SEND) that a question has in frame. A
	// page can write anything there, an origin too.
	FrameHeaders []string

	// UserPrefix goes before the name in an answer to handshake, connect and renew,
	// so that alice of the backend is not another authenticator's; see
	// [auth.CheckNames]. Questions have the full name.
	UserPrefix string

	// Recheck is how often at least the backend is asked, with the event recheck,
	// whether a client that it has let in is still welcome. Zero means never; the
	// least is a second. See [auth.Recheck].
	Recheck time.Duration
	// RecheckGrace is how long such a client's session goes on while the backend does
	// not answer. Zero means [auth.DefaultRecheckGrace]; negative means until the
	// principal expires.
	RecheckGrace time.Duration

	// Timeout is the longest that a question takes, and also the longest that it waits for its turn. Zero means
	// [DefaultTimeout]. Keep it well below the broker's deadline for CONNECT.
	Timeout time.Duration
	// Concurrency is how many questions of who a client is are under way at once, and how many of what a client may
	// do. Zero means [DefaultConcurrency]. Of the former one network (an IPv4 address, or the /64 of an IPv6 address)
	// has at most three quarters, and of the latter one user; from 1 to 3 it may have all. Those who wait get their turn
	// in a round of the networks or users, 1,024 of each at most.
	Concurrency int
	// CacheTTL is how long an answer to subscribe and send is remembered that has no max_age. Zero means
	// [DefaultCacheTTL]; if it is negative, none is remembered at all. At most [MaxAge].
	CacheTTL time.Duration
	// CacheSize is how many answers are remembered; the one that was not needed for longest makes room. One takes
	// at most 320 bytes. Zero means [DefaultCacheSize]; if it is negative, none is remembered.
	CacheSize int

	// Fallback decides about a subscribe or send that the backend passes on, or is not asked about. Nil denies it.
	Fallback auth.Authorizer
	// Client makes the requests. It is copied: redirects are never followed, whatever it says. Nil means a client
	// of its own, with the proxy of the environment.
	Client *http.Client
	// Logger is told when the circuit opens and when it closes, and, once a second, that the backend answers with 401 or
	// 403, which it does when it does not know the secret. Nil discards that.
	Logger *slog.Logger
}

// withDefaults returns the options with defaults for what is zero. The error names the field that is wrong.
func (o Options) withDefaults() (Options, error) {
	if o.Events == nil {
		o.Events = []Event{Connect, Renew, Subscribe, Send}
	}
	for _, e := range o.Events {
		if !slices.Contains([]Event{Handshake, Connect, Renew, Subscribe, Send, Wait}, e) {
			return o, field("Events", fmt.Errorf("%q is not one of handshake, connect, renew, subscribe, send, wait", e))
		}
	}
	if o.Headers == nil {
		o.Headers = []string{"Authorization", "Cookie", "Origin", "User-Agent"}
	}
	if slices.Contains(o.Headers, "") {
		return o, field("Headers", errEmptyName)
	}
	if slices.Contains(o.FrameHeaders, "") {
		return o, field("FrameHeaders", errEmptyName)
	}
	if o.Recheck != 0 && o.Recheck < time.Second {
		return o, field("Recheck", errors.New("is neither 0 nor a second or more"))
	}
	if o.RecheckGrace == 0 {
		o.RecheckGrace = auth.DefaultRecheckGrace
	}
	switch {
	case o.Timeout < 0:
		return o, field("Timeout", errNegative)
	case o.Timeout == 0:
		o.Timeout = DefaultTimeout
	}
	switch {
	case o.Concurrency < 0:
		return o, field("Concurrency", errNegative)
	case o.Concurrency == 0:
		o.Concurrency = DefaultConcurrency
	}
	switch {
	case o.CacheTTL > MaxAge:
		return o, field("CacheTTL", fmt.Errorf("%v is longer than %v", o.CacheTTL, MaxAge))
	case o.CacheTTL == 0:
		o.CacheTTL = DefaultCacheTTL
	}
	if o.CacheSize == 0 {
		o.CacheSize = DefaultCacheSize
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

var (
	errNegative  = errors.New("must not be negative")
	errEmptyName = errors.New("has an empty name")
	errURL       = errors.New("must be an absolute https URL without user, password and fragment")
	errInsecure  = errors.New("must be https, or http to loopback, unless AllowHTTP is set")
)

func field(name string, err error) error { return fmt.Errorf("webhook: %s: %w", name, err) }

// endpoint returns the URL. It is never in the error, for there may be a secret in it.
func (o *Options) endpoint() (*url.URL, error) {
	u, err := httpsec.AbsoluteURL(o.URL)
	if err != nil {
		return nil, field("URL", errURL)
	}
	if !o.AllowHTTP && !httpsec.Secure(u) {
		return nil, field("URL", errInsecure)
	}
	return u, nil
}

// CheckURL returns an error, which does not have the URL in it, if text is none that [Options.URL] may be.
func CheckURL(text string, allowHTTP bool) error {
	_, err := (&Options{URL: text, AllowHTTP: allowHTTP}).endpoint()
	return err
}
