package app

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/bearer"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/auth/loglimit"
	"github.com/hoofbeat/hoofbeat/auth/oauth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/auth/webhook"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// access holds everything that identifies clients and decides what they may do.
// All parts share its revocations, so a revocation reaches all of them. Parts that
// the configuration does not enable are nil.
type access struct {
	log         *slog.Logger
	quiet       loglimit.Limiter // for lines that any client can cause
	away        *turnedAway
	revocations *auth.Revocations
	tickets     *ticket.Issuer
	bearer      *bearer.Verifier
	login       *oauth.Client
	users       *userFile
	webhook     *webhook.Webhook

	authenticator auth.Authenticator
	authorizer    auth.Authorizer
	broker        *broker.Broker // set before the broker serves
	flow          *webflow.Flow  // set before the broker serves; nil when webflow is not enabled
}

func newAccess(c *config.Config, log *slog.Logger) (*access, error) {
	w := &access{revocations: auth.NewRevocations(), log: log, away: &turnedAway{log: log}}
	if err := checkNames(nameSpaces(c)...); err != nil {
		return nil, err
	}
	sets, err := newRules(c)
	if err != nil {
		return nil, err
	}
	for _, step := range []func(*config.Config, *slog.Logger) error{w.makeTickets, w.makeBearer, w.makeLogin, w.makeUsers} {
		if err := step(c, log); err != nil {
			return nil, err
		}
	}
	if err := w.makeWebhook(c, sets, log); err != nil {
		return nil, err
	}
	w.authenticator = w.chain(c)
	return w, nil
}

// chain orders the authenticators: explicit credentials and fast checks first,
// anonymous access last.
func (w *access) chain(c *config.Config) auth.Authenticator {
	chain := []auth.Authenticator{w.tickets}
	if w.bearer != nil {
		chain = append(chain, w.bearer)
	}
	if w.login != nil {
		chain = append(chain, w.login)
	}
	if w.users != nil {
		chain = append(chain, w.users.store)
	}
	if w.webhook != nil {
		chain = append(chain, w.webhook)
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

// reconsent notifies a user that a provider requires a new sign-in.
func (w *access) reconsent(user, provider string, log *slog.Logger) {
	log.Warn("a user has to sign in again", "user", user, "provider", provider)
	if w.broker == nil {
		return
	}
	body, err := json.Marshal(map[string]string{"event": "reconsent-needed", "provider": provider})
	if err == nil {
		_, err = w.broker.PublishToUser(context.Background(), user, &broker.Message{
			Destination: "/topic/session", Headers: []broker.Header{{Name: "content-type", Value: "application/json"}}, Body: body,
		})
	}
	if err != nil {
		log.Error("the user could not be notified", "user", user, "error", err)
	}
}

func (w *access) makeUsers(c *config.Config, log *slog.Logger) (err error) {
	if c.Auth.Users.File != "" {
		w.users, err = openUserFile(c.Auth.Users.File, nameSpaces(c))
		if exposed := config.Exposed(c.Auth.Users.File); exposed != nil {
			log.Warn("the hashes of passcodes are not private", "key", "auth.users.file", "problem", exposed)
		}
	}
	return wrong("auth.users.file", err)
}

func (w *access) makeBearer(c *config.Config, _ *slog.Logger) error {
	if !c.Auth.Bearer() {
		return nil
	}
	o := bearer.Options{SharedNames: c.Auth.SharedNames, RecheckGrace: c.Auth.RecheckGrace, WrongTokens: c.Limits.AddressFailures}
	for _, j := range c.Auth.JWT {
		o.JWT = append(o.JWT, bearer.JWT{
			Issuer: j.Issuer, Audience: j.Audience, JWKS: j.JWKS, Algorithms: j.Algorithms, RequireType: j.RequireType, Leeway: cmp.Or(j.Leeway, -1),
			UserClaim: j.User, UserPrefix: j.UserPrefix, RolesClaim: j.Roles, Scopes: j.Scopes,
		})
	}
	for i, s := range c.Auth.Introspection {
		secret, err := s.ClientSecret.Read(item("auth.introspection", i, "client_secret"))
		if err != nil {
			return err
		}
		o.Introspection = append(o.Introspection, bearer.Introspection{
			URL: s.URL, ClientID: s.ClientID, ClientSecret: secret, Issuer: s.Issuer, Recheck: s.Recheck, Audience: s.Audience,
			UserClaim: s.User, UserPrefix: s.UserPrefix, RolesClaim: s.Roles, Scopes: s.Scopes,
		})
	}
	for _, u := range c.Auth.UserInfo {
		o.UserInfo = append(o.UserInfo, bearer.UserInfo{
			URL: u.URL, Issuer: u.Issuer, Recheck: u.Recheck, UserClaim: u.User, UserPrefix: u.UserPrefix, RolesClaim: u.Roles, Scopes: u.Scopes,
		})
	}
	v, err := bearer.New(o)
	if err != nil {
		return wrong("auth.jwt, auth.introspection, auth.userinfo", err)
	}
	w.bearer = v
	return nil
}

func (w *access) makeTickets(c *config.Config, _ *slog.Logger) error {
	k := &c.Auth.Tickets
	secrets, err := ticketSecrets(k.Secret)
	if err != nil {
		return err
	}
	w.tickets, err = ticket.New(ticket.NewMemory(), w.revocations, ticket.Options{
		TTL: k.TTL, Signed: k.Signed, Secrets: secrets, PerSubject: k.PerSubject,
		Rate: float64(k.Rate), Burst: k.Burst, MaxOutstanding: k.Outstanding,
	})
	return wrong("auth.tickets", err)
}

// noTickets answers ticket requests when no credential can be exchanged for a
// ticket. It lets pages of allowed origins read the reason.
func (w *access) noTickets(rw http.ResponseWriter, r *http.Request) {
	cors := httpsec.CORS{Methods: "GET, POST", Headers: "Authorization, Content-Type"}
	if err := w.broker.CheckPage(rw.Header(), r, cors); err != nil {
		auth.WriteRefusal(rw, err)
		return
	}
	if r.Method == http.MethodOptions && r.Header.Get("Origin") != "" {
		cors.Preflight(rw)
		return
	}
	refusal := &auth.Refusal{
		Status: http.StatusNotFound,
		Reason: "nothing is configured that could be exchanged for a ticket: set auth.users.file, auth.jwt, auth.introspection, auth.userinfo or auth.oauth; the admin API mints tickets for an application",
	}
	w.ticketRefused(r, refusal)
	auth.WriteRefusal(rw, refusal)
}

// passcode checks a static user's passcode at auth.tickets.path. The limits on
// guessing are those of CONNECT.
func (w *access) passcode(r *http.Request, login, passcode string, patience time.Duration) (*auth.Principal, error) {
	if patience <= 0 { // the limit is off
		patience = time.Minute
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	remote := w.broker.ClientAddress(r)
	end, err := w.broker.TryPasscode(ctx, remote, login)
	if err != nil {
		return nil, err
	}
	p, err := w.users.store.Authenticate(ctx, &auth.Attempt{
		Stage: auth.StageConnect, Login: login, Passcode: passcode, Remote: remote, Header: func(string) string { return "" },
	})
	end(err)
	return p, err
}

// clientAddress returns the client address of a request. w.broker is set before
// the first request.
func (w *access) clientAddress(r *http.Request) netip.Addr { return w.broker.ClientAddress(r).Addr() }

// ticketHandler returns the endpoint that mints tickets.
func (w *access) ticketHandler(c *config.Config) (http.Handler, error) {
	o := ticket.HandlerOptions{Origins: c.WebSocket.Origins, BindOrigin: c.Auth.Tickets.BindOrigin, MayWait: w.mayWait, ClientAddress: w.clientAddress}
	o.OnForeignOrigin = func(r *http.Request) { w.broker.RefuseOrigin(r) } // w.broker is set before the first request
	o.OnRefused = w.ticketRefused
	if w.bearer != nil {
		o.Bearer = w.bearer.Verify
	}
	if w.login != nil {
		o.Session = w.login.Session
	}
	if w.users != nil {
		o.Passcode = func(r *http.Request, login, passcode string) (*auth.Principal, error) {
			return w.passcode(r, login, passcode, c.Limits.ConnectDeadline)
		}
	}
	if o.Bearer == nil && o.Session == nil && o.Passcode == nil {
		return http.HandlerFunc(w.noTickets), nil
	}
	h, err := w.tickets.Handler(o)
	return h, wrong("websocket.origins", err)
}

// mayWait reports whether a user may get a ticket for an operation at
// auth.tickets.path: the operation's owner may, and users that the backend
// allows.
func (w *access) mayWait(ctx context.Context, p *auth.Principal, operation string) (bool, error) {
	if w.flow != nil {
		if ok, err := w.flow.MayWait(ctx, p, operation); ok || err != nil {
			return ok, err
		}
	}
	if w.webhook != nil {
		return w.webhook.MayWait(ctx, p, operation)
	}
	return false, nil
}

func (w *access) makeWebhook(c *config.Config, sets *ruleSets, log *slog.Logger) error {
	k := &c.Auth.Webhook
	if k.URL == "" {
		w.authorizer = w.judge(sets)
		return nil
	}
	secret, err := k.Secret.Read("auth.webhook.secret")
	if err != nil {
		return err
	}
	events := []webhook.Event{}
	for _, e := range k.Events {
		events = append(events, webhook.Event(e))
	}
	w.webhook, err = webhook.New(webhook.Options{
		URL: k.URL, AllowHTTP: k.AllowHTTP, Secret: secret, Events: events, Headers: k.Headers, FrameHeaders: k.FrameHeaders,
		UserPrefix: k.UserPrefix, Recheck: max(k.Recheck, 0), RecheckGrace: c.Auth.RecheckGrace,
		Timeout: k.Timeout, CacheTTL: k.Cache, Fallback: sets.builtin, Logger: log,
	})
	if err != nil {
		return wrong("auth.webhook", err)
	}
	w.authorizer = w.judge(sets)
	return nil
}

// judge returns the authorizer for these rules and, if there is one, the
// backend.
func (w *access) judge(sets *ruleSets) auth.Authorizer {
	if w.webhook == nil {
		return sets.all
	}
	return &rulesFirst{sets: sets, others: w.webhook}
}

// close waits for token refreshes, whose results must not be lost.
func (w *access) close() {
	if w.login != nil {
		w.login.Close()
	}
	if w.webhook != nil {
		w.webhook.CloseIdleConnections()
	}
}

// revoke ends the sockets of a login session.
func (w *access) revoke(credential string, log *slog.Logger) {
	if err := w.revocations.Revoke(context.Background(), auth.Revocation{Credential: credential}); err != nil {
		log.Error("a session that has ended could not be revoked", "error", err)
	}
}
