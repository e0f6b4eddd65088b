package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// defaultMaxBody lets a message be half of the default outbox of a session at
// most, so that one call never ends a session that reads what it is sent.
const defaultMaxBody = 256 << 10

// Options configure the handler that [New] returns.
type Options struct {
	// Token is the bearer token that every request but those for /livez and
	// /readyz must carry. Required, of 16 to 4,096 visible ASCII characters;
	// [LoadOrCreateToken] makes one. Only its SHA-256 is kept.
	Token string
	// MaxBody bounds the body of a request, in bytes; it is read into memory.
	// Default 262,144, negative is no limit.
	MaxBody int64
	// Store takes the revocations. It must be the one in [broker.Options], or
	// sessions outlive them. Nil means that there are none: POST
	// /api/v1/revocations answers 404.
	Store *auth.Store
	// Tickets mints tickets for whichever user, with whichever roles, the caller
	// names. They let nobody in unless the broker's Authenticator asks Tickets
	// too. Nil means that there are none: POST /api/v1/tickets answers 404.
	Tickets *auth.Tickets
	// Flow takes the operations that pages wait for, and their results. It must be
	// one of the same broker. Nil means that there are none: PUT
	// /api/v1/operations/{operationId} and POST on its result answer 404.
	Flow *webflow.Flow
	// AccessToken returns the access token that a provider has granted for a user,
	// refreshed if need be: *oauth.Client has it. Its error is ErrNoToken or
	// ErrReconsent, or another that is logged and answered with 502. Nil means that
	// there are none: GET /api/v1/users/{user}/tokens/{provider} answers 404.
	AccessToken func(ctx context.Context, user, provider string) (AccessToken, error)
	// Profile serves the profiles of the Go runtime below /debug/pprof, for
	// `go tool pprof` on a file that curl has fetched, with the token as well.
	Profile bool
	// LoopbackOnly refuses requests whose Host is not localhost, a name below
	// localhost, or a loopback address, with 403. It is for a listener that only
	// this machine reaches: a page of another site can make a name of its own
	// mean 127.0.0.1 (DNS rebinding). /livez and /readyz are not concerned.
	LoopbackOnly bool
	// Logger receives a warning for wrong tokens, once a second for each network
	// they come from, with the number of those that were left out. No token is in
	// it. Nil discards.
	Logger *slog.Logger
}

// New returns the admin API of b; see the package comment for what it serves.
// The error names the field of Options that is wrong, without its value. The
// handler is safe for concurrent use, starts no goroutine, and keeps nothing of
// a request. Deadlines for slow clients are those of the [http.Server].
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
	a := &api{b: b, store: o.Store, tickets: o.Tickets, flow: o.Flow, accessToken: o.AccessToken, maxBody: o.MaxBody, loopback: o.LoopbackOnly, health: Health(b), guard: newGuard(o.Token, o.Logger), log: o.Logger}
	routes := a.routes()
	if o.Profile {
		routes = append(routes, profileRoutes()...)
	}
	a.routed = newMux(routes)
	return a, nil
}

type api struct {
	b       *broker.Broker
	store   *auth.Store   // nil: no revocations
	tickets *auth.Tickets // nil: no tickets
	flow    *webflow.Flow // nil: no operations
	maxBody int64

	accessToken func(ctx context.Context, user, provider string) (AccessToken, error)
	guard       *guard
	log         *slog.Logger
	origins     http.CrossOriginProtection // the zero value allows no foreign origin
	loopback    bool                       // see Options.LoopbackOnly
	health      http.Handler
	routed      http.Handler
}

// ServeHTTP decides who may go on before it looks at what is asked, so that
// strangers learn nothing, not even which paths there are.
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
		problemf(http.StatusForbidden, "a page of another origin may not change anything here").write(w)
		return
	}
	a.audit(w, r)
}

// routes is all of the API that needs a token; openapi.json describes each.
func (a *api) routes() []route {
	return []route{
		{"POST", "/api/v1/messages", a.publish},
		{"DELETE", "/api/v1/messages", a.purge},
		{"POST", "/api/v1/users/{user}/messages", a.publishToUser},
		{"POST", "/api/v1/tickets", a.mint},
		{"POST", "/api/v1/revocations", a.revoke},
		{"GET", "/api/v1/operations", a.operations},
		{"GET", "/api/v1/operations/{operationId}", a.operation},
		{"PUT", "/api/v1/operations/{operationId}", a.open},
		{"POST", "/api/v1/operations/{operationId}/result", a.notify},
		{"GET", "/api/v1/stats", a.stats},
		{"GET", "/api/v1/sessions", a.sessions},
		{"GET", "/api/v1/sessions/{id}", a.session},
		{"DELETE", "/api/v1/sessions/{id}", a.disconnect},
		{"GET", "/api/v1/users", a.users},
		{"GET", "/api/v1/users/{user}/sessions", a.userSessions},
		{"GET", "/api/v1/users/{user}/tokens/{provider}", a.userToken},
		{"GET", "/api/v1/destinations", a.destinations},
		{"GET", "/api/v1/openapi.json", openAPI},
	}
}
