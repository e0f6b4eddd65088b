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

// Event is the kind of a question, as in its event member.
type Event string

// Events that a backend can be asked about.
const (
	Handshake Event = "handshake" // the HTTP request for a WebSocket: [auth.StageHandshake]
	Connect   Event = "connect"   // the CONNECT frame: [auth.StageConnect]
	Renew     Event = "renew"     // a new credential for a session: [auth.StageRenew]
	Subscribe Event = "subscribe" // a SUBSCRIBE, or a message that a pattern of the client matches
	Send      Event = "send"      // a SEND
	// Recheck asks whether an accepted client may stay connected.
	// [Options.Recheck] enables it; it need not be among [Options.Events].
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
	// DefaultConcurrency is the default of [Options.Concurrency], in questions
	// of either kind.
	DefaultConcurrency = 64
	// MaxAge is the maximum time an answer is cached, whatever its max_age, so
	// that a withdrawn permission ends within it.
	MaxAge = 5 * time.Minute
)

// Options configure a [Webhook]. Only URL is required. [New] copies what it
// needs.
type Options struct {
	// URL is the address to which questions are posted: https, or http to
	// loopback, without user, password and fragment. Its query is never logged.
	URL string
	// AllowHTTP accepts an http URL to any host. The network can then read the
	// clients' credentials and forge the backend's answers.
	AllowHTTP bool
	// Secret signs the questions, so that the backend can verify that the
	// broker sent them. Use 32 random bytes. If it is empty, questions are not
	// signed, and only the broker must be able to reach the backend.
	Secret string
	// Events are the questions to ask. Nil means all except [Handshake],
	// because a client has not sent its login yet, and [Wait], because a
	// backend that does not know it might allow it. At other stages the Webhook
	// returns [auth.ErrNotMine]; Fallback decides about other actions.
	Events []Event

	// Headers are the headers of the HTTP request to include in a question's
	// headers. Nil means Authorization, Cookie, Origin and User-Agent. Repeated
	// headers are joined with a comma, cookies with a semicolon. Values that
	// are not UTF-8 are omitted.
	Headers []string
	// FrameHeaders are the headers of the CONNECT frame (for [Renew], of the
	// SEND) to include in a question's frame. A page can write anything there,
	// even an origin.
	FrameHeaders []string

	// UserPrefix is put before the name in an answer to handshake, connect and
	// renew, to distinguish alice of the backend from alice of another
	// authenticator; see [auth.CheckNames]. Questions contain the full name.
	UserPrefix string

	// Recheck is the maximum time between two recheck questions, which ask the
	// backend whether an accepted client may stay connected. Zero means never;
	// the minimum is one second. See [auth.Recheck].
	Recheck time.Duration
	// RecheckGrace is how long such a client's session may continue while the
	// backend does not answer. Zero means [auth.DefaultRecheckGrace]; negative
	// means until the principal expires.
	RecheckGrace time.Duration

	// Timeout limits the time for a question, and also its wait for a turn.
	// Zero means [DefaultTimeout]. Keep it well below the broker's deadline for
	// CONNECT.
	Timeout time.Duration
	// Concurrency is the maximum number of concurrent questions to identify
	// clients, and also that of concurrent permission questions. Zero means
	// [DefaultConcurrency]. One network (an IPv4 address, or the /64 of an IPv6
	// address) gets at most three quarters of the former, and one user of the
	// latter; with a Concurrency below 4 it may get all. The networks or users
	// take turns; at most 1,024 questions of each wait.
	Concurrency int
	// CacheTTL is how long an answer to subscribe or send without max_age is
	// cached. Zero means [DefaultCacheTTL]; negative means that no answer is
	// cached. At most [MaxAge].
	CacheTTL time.Duration
	// CacheSize is the maximum number of cached answers. A further answer
	// replaces the least recently used. Each takes at most 320 bytes. Zero
	// means [DefaultCacheSize]; negative means no cache.
	CacheSize int

	// Fallback decides about a subscribe or send if the backend passes or is
	// not asked. Nil means deny.
	Fallback auth.Authorizer
	// Client makes the requests. It is copied, and the copy never follows
	// redirects. Nil means a new client with the proxy of the environment.
	Client *http.Client
	// Logger logs when the circuit opens and closes. At most once a second, it
	// also logs that the backend answers with 401 or 403, as it does if it does
	// not know the secret. Nil means no logging.
	Logger *slog.Logger
}

// withDefaults returns the options with defaults for zero values. The error
// names the invalid field.
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
		return o, field("Recheck", errors.New("must be 0 or at least 1s"))
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
	errInsecure  = errors.New("must be https, or http to loopback: everybody on the way could read the credentials")
)

func field(name string, err error) error {
	return &auth.OptionError{Of: "webhook: Options", Field: name, Err: err}
}

// endpoint returns the URL. The error never contains it, because it may contain
// a secret.
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

// CheckURL returns an error, which does not contain the URL, if text is not a
// valid [Options.URL].
func CheckURL(text string, allowHTTP bool) error {
	_, err := (&Options{URL: text, AllowHTTP: allowHTTP}).endpoint()
	return err
}
