package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// defaultMaxBody limits a message to half of a session's default outbox, so
// that one call never ends a session that reads its messages.
const defaultMaxBody = 256 << 10

// Options configures the handler that [New] returns.
type Options struct {
	// Token is the bearer token that every request must carry, except for
	// /livez and /readyz. Required; 16 to 4,096 visible ASCII characters.
	// [LoadOrCreateToken] creates one. The handler keeps only its SHA-256.
	Token string
	// MaxBody limits the body of a request, in bytes, which is read into
	// memory. Default 262,144; negative means no limit.
	MaxBody int64
	// Revocations records what is revoked. It must be the one in
	// [broker.Options], or revoked sessions stay open. Nil: POST /api/v1/revocations answers 404.
	Revocations *auth.Revocations
	// Tickets mints tickets for any user and any roles that the caller names.
	// The broker's Authenticator must accept Tickets too, or the tickets are
	// useless. Nil: POST /api/v1/tickets answers 404.
	Tickets *ticket.Issuer
	// Flow manages the operations that pages wait for, and their results. It
	// must belong to the same broker. Nil: all paths below /api/v1/operations
	// answer 404.
	Flow *webflow.Flow
	// AccessToken returns the access token that a provider granted for a user,
	// refreshed if necessary: use that of *oauth.Client. If its error is
	// neither ErrNoToken nor ErrReconsent, it is logged and answered with 502.
	// Nil: GET /api/v1/users/{user}/tokens/{provider} answers 404.
	AccessToken func(ctx context.Context, user, provider string) (AccessToken, error)
	// Handlers returns the states of servers outside the program that handle
	// what clients send. Nil: there are none.
	Handlers func() []HandlerState
	// Events returns the states of the back ends that get events. Nil: there are
	// none.
	Events func() []EventsState
	// Cluster returns the nodes of the cluster that this one is part of. Nil:
	// there are none.
	Cluster func() []ClusterNode
	// Ready says why the program is not ready although its broker is, for
	// /readyz. Nil: only the broker counts.
	Ready func() error
	// Store returns the state of the store on disk, for the statistics, or nil
	// if there is none. Nil: there is none.
	Store func() *StoreStats
	// Export writes everything in the store on disk as it is now, and returns
	// when that is complete. Nil: POST /api/v1/store/export answers 404.
	Export func(ctx context.Context, w io.Writer) error
	// Profile serves the profiles of the Go runtime below /debug/pprof, which
	// also require the token. Fetch one with curl and open the file with `go
	// tool pprof`.
	Profile bool
	// LoopbackOnly refuses requests with 403 unless their Host is localhost, a
	// name below localhost, or a loopback address. Set it for a listener that
	// only this machine can reach: it protects against pages of other sites
	// that resolve their own name to 127.0.0.1 (DNS rebinding). It does not
	// apply to /livez and /readyz.
	LoopbackOnly bool
	// Logger gets a warning for wrong tokens, at most one a second for each
	// client network, with the number of those omitted. It never contains a
	// token. Nil discards.
	Logger *slog.Logger
}

// New returns the admin API of b; see the package comment for its content. The
// error names the invalid field of Options, without its value. The handler is
// safe for concurrent use, starts no goroutine, and keeps nothing of a request.
// Set deadlines for slow clients in the [http.Server].
func New(b *broker.Broker, o Options) (http.Handler, error) {
	if b == nil {
		return nil, errors.New("admin: nil Broker")
	}
	if err := checkToken(o.Token); err != nil {
		return nil, fmt.Errorf("admin: Options.Token: %w", err)
	}
	switch {
	case o.MaxBody == 0:
		o.MaxBody = defaultMaxBody
	case o.MaxBody < 0:
		o.MaxBody = math.MaxInt64
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	var also []func() error
	if o.Ready != nil {
		also = append(also, o.Ready)
	}
	a := &api{b: b, revocations: o.Revocations, tickets: o.Tickets, flow: o.Flow, accessToken: o.AccessToken, handlers: o.Handlers, events: o.Events, cluster: o.Cluster, maxBody: o.MaxBody, loopback: o.LoopbackOnly, health: Health(b, also...), store: o.Store, export: o.Export, guard: newGuard(o.Token, o.Logger), log: o.Logger}
	routes := a.routes()
	if o.Profile {
		routes = append(routes, profileRoutes()...)
	}
	a.routed = newMux(routes)
	return a, nil
}

type api struct {
	b       *broker.Broker
	tickets *ticket.Issuer // nil: no tickets
	flow    *webflow.Flow  // nil: no operations
	maxBody int64

	revocations *auth.Revocations // nil: no revocations

	accessToken func(ctx context.Context, user, provider string) (AccessToken, error)
	handlers    func() []HandlerState                  // nil: none
	events      func() []EventsState                   // nil: none
	cluster     func() []ClusterNode                   // nil: none
	store       func() *StoreStats                     // nil: none
	export      func(context.Context, io.Writer) error // nil: no store
	guard       *guard
	log         *slog.Logger
	origins     http.CrossOriginProtection // the zero value allows no foreign origin
	loopback    bool                       // see Options.LoopbackOnly
	health      http.Handler
	routed      http.Handler
}

// ServeHTTP checks access before it routes, so that unauthenticated callers
// learn nothing, not even which paths exist.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/livez" || r.URL.Path == "/readyz" {
		a.health.ServeHTTP(w, r)
		return
	}
	if a.loopback && !httpsec.LoopbackHost(r.Host) {
		problemf(http.StatusForbidden, "host not allowed: only this machine reaches the admin API, so the Host must be localhost or a loopback address; a proxy in front has to set it").write(w)
		return
	}
	if p := a.guard.admit(r); p != nil {
		p.write(w)
		return
	}
	if a.origins.Check(r) != nil {
		problemf(http.StatusForbidden, "a page of another origin may not change anything").write(w)
		return
	}
	a.audit(w, r)
}

// routes lists all routes that require a token. openapi.json describes each.
func (a *api) routes() []route {
	return []route{
		{"POST", "/api/v1/messages", a.publish},
		{"GET", "/api/v1/queues", a.queues},
		{"GET", "/api/v1/queues/{queue}", a.queue},
		{"GET", "/api/v1/queues/{queue}/messages", a.browse},
		{"DELETE", "/api/v1/queues/{queue}/messages", a.deleteMessages},
		{"DELETE", "/api/v1/queues/{queue}/messages/{sequence}", a.deleteMessage},
		{"POST", "/api/v1/queues/{queue}/moves", a.move},
		{"GET", "/api/v1/history", a.histories},
		{"GET", "/api/v1/history/{destination}", a.history},
		{"DELETE", "/api/v1/history/{destination}", a.deleteHistory},
		{"GET", "/api/v1/delayed", a.delayed},
		{"DELETE", "/api/v1/delayed/{messageId}", a.cancelDelayed},
		{"GET", "/api/v1/subscriptions", a.subscriptions},
		{"DELETE", "/api/v1/users/{user}/subscriptions", a.deleteSubscriptions},
		{"DELETE", "/api/v1/users/{user}/subscriptions/{name}", a.deleteSubscription},
		{"POST", "/api/v1/users/{user}/messages", a.publishToUser},
		{"POST", "/api/v1/tickets", a.mint},
		{"POST", "/api/v1/revocations", a.revoke},
		{"GET", "/api/v1/operations", a.operations},
		{"GET", "/api/v1/operations/{operationId}", a.operation},
		{"PUT", "/api/v1/operations/{operationId}", a.open},
		{"POST", "/api/v1/operations/{operationId}/result", a.notify},
		{"GET", "/api/v1/stats", a.stats},
		{"POST", "/api/v1/store/export", a.exportStore},
		{"GET", "/api/v1/handlers", states(a.handlers)},
		{"GET", "/api/v1/events", states(a.events)},
		{"GET", "/api/v1/cluster", states(a.cluster)},
		{"GET", "/api/v1/sessions", a.sessions},
		{"GET", "/api/v1/sessions/{id}", a.session},
		{"DELETE", "/api/v1/sessions/{id}", a.disconnect},
		{"GET", "/api/v1/users", a.users},
		{"GET", "/api/v1/users/{user}/sessions", a.userSessions},
		{"GET", "/api/v1/users/{user}/tokens/{provider}", a.userToken},
		{"GET", "/api/v1/destinations", a.destinations},
		{"GET", "/api/v1/presence", a.presence},
		{"GET", "/api/v1/openapi.json", openAPI},
	}
}
