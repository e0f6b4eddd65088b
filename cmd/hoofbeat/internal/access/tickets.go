package access

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/auth/loglimit"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// makeTickets creates the issuer for auth.tickets.
func (a *Access) makeTickets(c *config.Config) error {
	k := &c.Auth.Tickets
	secrets, err := ticketSecrets(k.Secret)
	if err != nil {
		return err
	}
	a.Tickets, err = ticket.New(a.kept.Tickets, a.Revocations, ticket.Options{
		TTL: k.TTL, Signed: k.Signed, Secrets: secrets, PerSubject: k.PerSubject,
		Rate: float64(k.Rate), Burst: k.Burst, MaxOutstanding: k.Outstanding,
	})
	return config.OptionError("auth.tickets", err)
}

// ticketSecrets parses ID:KEY or KEY, separated by commas or line ends.
func ticketSecrets(s config.Secret) ([]ticket.Secret, error) {
	text, err := s.Read("auth.tickets.secret")
	if err != nil {
		return nil, err
	}
	var all []ticket.Secret
	for _, entry := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		id, key, ok := strings.Cut(strings.TrimSpace(entry), ":")
		if !ok {
			id, key = "main", id
		}
		all = append(all, ticket.Secret{ID: id, Key: []byte(key)})
	}
	return all, nil
}

// TicketHandler returns the endpoint that mints tickets, for the origins and
// limits of a configuration.
func (a *Access) TicketHandler(c *config.Config) (http.Handler, error) {
	o := ticket.HandlerOptions{Origins: c.WebSocket.Origins, BindOrigin: c.Auth.Tickets.BindOrigin, MayWait: a.mayWait, ClientAddress: a.ClientAddress}
	o.OnForeignOrigin = func(r *http.Request) { a.Broker.RefuseOrigin(r) } // a.Broker is set before the first request
	o.OnRefused = a.refused
	if a.Bearer != nil {
		o.Bearer = a.Bearer.Verify
	}
	if a.Login != nil {
		o.Session = a.Login.Session
	}
	if a.Users != nil {
		o.Passcode = func(r *http.Request, login, passcode string) (*auth.Principal, error) {
			return a.passcode(r, login, passcode, c.Limits.ConnectDeadline)
		}
	}
	if o.Bearer == nil && o.Session == nil && o.Passcode == nil {
		return http.HandlerFunc(a.noTickets), nil
	}
	h, err := a.Tickets.Handler(o)
	return h, config.OptionError("websocket.origins", err)
}

// refused tells OnRefused of a request that gets no ticket.
func (a *Access) refused(r *http.Request, err error) {
	if a.OnRefused != nil {
		a.OnRefused(r, err)
	}
}

// noTickets answers ticket requests when no credential can be exchanged for a
// ticket. It lets pages of allowed origins read the reason.
func (a *Access) noTickets(w http.ResponseWriter, r *http.Request) {
	cors := httpsec.CORS{Methods: "GET, POST", Headers: "Authorization, Content-Type"}
	if err := a.Broker.CheckPage(w.Header(), r, cors); err != nil {
		auth.WriteRefusal(w, err)
		return
	}
	if r.Method == http.MethodOptions && r.Header.Get("Origin") != "" {
		cors.Preflight(w)
		return
	}
	refusal := &auth.Refusal{
		Status: http.StatusNotFound,
		Reason: "nothing is configured that could be exchanged for a ticket: set auth.users.file, auth.jwt, auth.introspection, auth.userinfo or auth.oauth; the admin API mints tickets for an application",
	}
	a.refused(r, refusal)
	auth.WriteRefusal(w, refusal)
}

// passcode checks a static user's passcode at auth.tickets.path. The limits on
// guessing are those of CONNECT.
func (a *Access) passcode(r *http.Request, login, passcode string, patience time.Duration) (*auth.Principal, error) {
	if patience <= 0 { // the limit is off
		patience = time.Minute
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	remote := a.Broker.ClientAddress(r)
	end, err := a.Broker.TryPasscode(ctx, remote, login)
	if err != nil {
		return nil, err
	}
	p, err := a.Users.store.Authenticate(ctx, &auth.Attempt{
		Stage: auth.StageConnect, Login: login, Passcode: passcode, Remote: remote, Header: func(string) string { return "" },
	})
	end(err)
	return p, err
}

// mayWait reports whether a user may get a ticket for an operation at
// auth.tickets.path: the operation's owner may, and users that the backend
// allows.
func (a *Access) mayWait(ctx context.Context, p *auth.Principal, operation string) (bool, error) {
	if a.MayWait != nil {
		if ok, err := a.MayWait(ctx, p, operation); ok || err != nil {
			return ok, err
		}
	}
	if a.webhook != nil {
		return a.webhook.MayWait(ctx, p, operation)
	}
	return false, nil
}

// SpendTicket redeems a ticket that is exchanged for a poll token, and returns
// its principal. Only the log has the reason if the ticket is rejected.
func (a *Access) SpendTicket(ctx context.Context, value, origin string) (*auth.Principal, error) {
	p, err := a.Tickets.Consume(ctx, value, origin)
	if err != nil {
		remote := auth.RemoteOf(ctx)
		key := loglimit.Key{Kind: "a ticket to poll with was not taken", Network: loglimit.Network(remote)}
		level := slog.LevelInfo
		if _, down := errors.AsType[*ticket.StoreError](err); down {
			level = slog.LevelError
		}
		a.quiet.Log(ctx, a.log, level, key, "remote", remote.String(), "error", err)
	}
	return p, err
}
