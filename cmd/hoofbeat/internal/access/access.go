// Package access makes the credentials and the rules of a configuration: who
// may connect, and what each client may do.
//
//	a, err := access.New(c, logger, access.Kept{})
//	if err != nil {
//		return err // an error in the configuration
//	}
//	defer a.Close()
//	a.Broker, err = broker.New(broker.Options{
//		Authenticator: a.Authenticator, Authorizer: a.Authorizer, Revocations: a.Revocations,
//	})
package access

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/bearer"
	"github.com/hoofbeat/hoofbeat/auth/loglimit"
	"github.com/hoofbeat/hoofbeat/auth/oauth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/auth/webhook"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// Access holds everything that identifies clients and decides what they may
// do. All parts share its revocations, so a revocation reaches all of them.
// Parts that the configuration does not enable are nil. The caller of New sets
// Broker, OnRefused and MayWait before the first request, and changes nothing
// later. After that, all methods are safe for concurrent use.
type Access struct {
	Revocations *auth.Revocations
	Tickets     *ticket.Issuer
	Bearer      *bearer.Verifier // nil without auth.jwt, auth.introspection and auth.userinfo
	Login       *oauth.Client    // nil without auth.oauth
	Users       *UserFile        // nil without auth.users.file

	Authenticator auth.Authenticator
	Authorizer    auth.Authorizer // of the configuration that New got, see [Access.NewAuthorizer]

	Broker *broker.Broker
	// OnRefused is called for each request that gets no ticket. May be nil.
	OnRefused func(*http.Request, error)
	// MayWait reports whether a user owns an operation of Web Flow, and so may
	// get a ticket for it. Nil without webflow.
	MayWait func(ctx context.Context, p *auth.Principal, operation string) (bool, error)

	webhook *webhook.Webhook
	kept    Kept
	log     *slog.Logger
	quiet   loglimit.Limiter // for lines that any client can cause
}

// Kept is where Access keeps what survives the process. What is nil is kept in
// memory.
type Kept struct {
	Tickets     ticket.Store
	Revocations *auth.Revocations
	Logins      oauth.Records
	// Secret says that Logins are encrypted, so that tokens may be kept there
	// without a key of their own.
	Secret bool
}

// New creates the parts that a checked configuration enables. It reads the
// files with users, keys and secrets. The error is about a key, or joins
// several. Call Close in the end.
func New(c *config.Config, log *slog.Logger, kept Kept) (*Access, error) {
	if kept.Tickets == nil {
		kept.Tickets = ticket.NewMemory()
	}
	if kept.Revocations == nil {
		kept.Revocations = auth.NewRevocations()
	}
	a := &Access{Revocations: kept.Revocations, kept: kept, log: log}
	if err := checkNames(nameSpaces(c)...); err != nil {
		return nil, err
	}
	sets, err := newRules(c)
	if err != nil {
		return nil, err
	}
	for _, step := range []func(*config.Config) error{a.makeTickets, a.makeBearer, a.makeLogin, a.makeUsers} {
		if err := step(c); err != nil {
			return nil, err
		}
	}
	if err := a.makeWebhook(c, sets); err != nil {
		return nil, err
	}
	a.Authenticator = a.chain(c)
	a.Authorizer = a.authorizer(sets)
	return a, nil
}

// chain orders the authenticators: explicit credentials and fast checks first,
// anonymous access last.
func (a *Access) chain(c *config.Config) auth.Authenticator {
	chain := []auth.Authenticator{a.Tickets}
	if a.Bearer != nil {
		chain = append(chain, a.Bearer)
	}
	if a.Login != nil {
		chain = append(chain, a.Login)
	}
	if a.Users != nil {
		chain = append(chain, a.Users.store)
	}
	if a.webhook != nil {
		chain = append(chain, a.webhook)
	}
	switch {
	case c.Development():
		chain = append(chain, auth.TrustLogin)
	case c.Auth.Anonymous:
		chain = append(chain, auth.Anonymous)
	}
	if !c.Auth.FirstFrame {
		chain = append(chain, auth.AuthenticatorFunc(handshakeOnly))
	}
	return auth.Chain(chain...)
}

// handshakeOnly rejects a handshake whose credential no authenticator
// recognised (T-4).
func handshakeOnly(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
	if a.Stage == auth.StageHandshake {
		return nil, &auth.Refusal{Reason: "a credential is required", Challenge: "Bearer"}
	}
	return nil, auth.ErrNotMine
}

// Close waits for token refreshes, whose results must not be lost.
func (a *Access) Close() {
	if a.Login != nil {
		a.Login.Close()
	}
	if a.webhook != nil {
		a.webhook.CloseIdleConnections()
	}
}

// ClientAddress returns the client address of a request.
func (a *Access) ClientAddress(r *http.Request) netip.Addr { return a.Broker.ClientAddress(r).Addr() }
