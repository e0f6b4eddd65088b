package webhook

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/internal/turns"
	"github.com/hoofbeat/hoofbeat/auth/loglimit"
)

// Webhook asks a backend. It is an [auth.Authenticator] and an [auth.PatternAuthorizer], each of which may be used
// without the other, and safe for concurrent use. A goroutine of its own is running only while a question is under
// way.
type Webhook struct {
	url    string
	place  string // the URL as it may be logged
	secret []byte
	client *http.Client
	logger *slog.Logger
	quiet  loglimit.Limiter // of lines that clients cause

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
	breaker     breaker

	mu      sync.Mutex // for what follows; taken before that of breaker
	cache   *cache
	pending map[digest]*call
}

var (
	_ auth.Authenticator     = (*Webhook)(nil)
	_ auth.NameSource        = (*Webhook)(nil)
	_ auth.PatternAuthorizer = (*Webhook)(nil)
)

// New returns a Webhook. The error names the field of o that is wrong. The backend is not asked anything yet and need
// not be running.
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

// CloseIdleConnections closes the connections to the backend that are kept for the next question. Call it when the
// broker has been closed.
func (w *Webhook) CloseIdleConnections() { w.client.CloseIdleConnections() }

// String says where questions go, without a secret, also for fmt's %v and %+v.
func (w *Webhook) String() string { return "webhook " + w.place }

// NameSpaces returns what the backend can call its users, for [auth.CheckNames];
// nothing if it is not asked who a client is.
func (w *Webhook) NameSpaces() []auth.NameSpace {
	if !w.asks(Handshake) && !w.asks(Connect) {
		return nil
	}
	return []auth.NameSpace{{Source: w.String(), Prefix: w.userPrefix}}
}

func (w *Webhook) asks(e Event) bool { return slices.Contains(w.events, e) }
