package webhook

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/circuit"
	"github.com/hoofbeat/hoofbeat/auth/internal/turns"
	"github.com/hoofbeat/hoofbeat/auth/loglimit"
)

// Webhook asks a backend. It is an [auth.Authenticator] and an
// [auth.PatternAuthorizer]; you can use either without the other. It is safe
// for concurrent use. It runs goroutines only while questions are running.
type Webhook struct {
	url    string
	place  string // the URL without secrets, for logs
	secret []byte
	client *http.Client
	logger *slog.Logger
	quiet  loglimit.Limiter // for lines that clients can cause

	events       []Event
	headers      []string
	frameHeaders []string
	userPrefix   string
	recheck      time.Duration
	grace        time.Duration
	fallback     auth.Authorizer

	timeout     time.Duration
	cacheTTL    time.Duration
	identities  *turns.Turns[netip.Addr] // by the network of the client
	permissions *turns.Turns[asker]
	breaker     circuit.Breaker

	mu      sync.Mutex // guards the fields below; lock it before that of breaker
	cache   *cache
	pending map[digest]*call
}

var (
	_ auth.Authenticator     = (*Webhook)(nil)
	_ auth.NameSource        = (*Webhook)(nil)
	_ auth.PatternAuthorizer = (*Webhook)(nil)
)

// New returns a Webhook. The error names the invalid field of o. New does not
// contact the backend, which need not be running yet.
func New(o Options) (*Webhook, error) {
	endpoint, err := o.endpoint()
	if err != nil {
		return nil, err
	}
	if o, err = o.withDefaults(); err != nil {
		return nil, err
	}
	place := *endpoint
	place.RawQuery, place.ForceQuery = "", false
	return &Webhook{
		url:          endpoint.String(),
		place:        place.String(),
		secret:       []byte(o.Secret),
		client:       newClient(o.Client, o.Concurrency),
		logger:       o.Logger,
		events:       slices.Clone(o.Events),
		headers:      slices.Clone(o.Headers),
		frameHeaders: slices.Clone(o.FrameHeaders),
		userPrefix:   o.UserPrefix,
		recheck:      o.Recheck,
		grace:        max(o.RecheckGrace, 0),
		fallback:     o.Fallback,
		timeout:      o.Timeout,
		cacheTTL:     o.CacheTTL,
		identities:   turns.New[netip.Addr](turns.Fair(o.Concurrency)),
		permissions:  turns.New[asker](turns.Fair(o.Concurrency)),
		cache:        newCache(o.CacheSize),
		pending:      make(map[digest]*call),
	}, nil
}

// CloseIdleConnections closes the idle connections to the backend. Call it
// after the broker has been closed.
func (w *Webhook) CloseIdleConnections() { w.client.CloseIdleConnections() }

// String returns the URL without secrets, also for fmt's %v and %+v.
func (w *Webhook) String() string { return "webhook " + w.place }

// NameSpaces returns the user names that the backend can give, for
// [auth.CheckNames], or nil if it is not asked to identify clients.
func (w *Webhook) NameSpaces() []auth.NameSpace {
	if !w.asks(Handshake) && !w.asks(Connect) {
		return nil
	}
	return []auth.NameSpace{{Source: w.String(), Prefix: w.userPrefix}}
}

func (w *Webhook) asks(e Event) bool { return slices.Contains(w.events, e) }
