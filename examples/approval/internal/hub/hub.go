// Package hub is the demo's broker. A Hub runs it in this process, with its
// tickets, revocations and operations; Restart replaces them all, as a restart
// of a process without a store would. A Remote uses a broker in a process of
// its own, which can be killed. Waiting pages survive both.
package hub

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// ErrDown is returned while the broker does not run.
var ErrDown = errors.New("hub: the broker is down")

// Roles and scopes for the rules.
const (
	// RoleWaiting is the role of a page that waits for one operation. It
	// permits nothing else.
	RoleWaiting = "waiting"
	// RolePhone is the role of the device that approves sign-ins.
	RolePhone = "phone"
	// ScopeReadings is the scope of a signed-in user who may get readings.
	ScopeReadings = "readings"
)

// Destinations to which the demo publishes.
const (
	Readings = "/queue/readings" // readings that the background job has fetched
	Notices  = "/queue/notices"  // news about the user's sign-in
	Requests = "/queue/requests" // tells the phone to reload its requests
)

// Hub runs a broker, and replaces it on Restart. It is safe for concurrent use.
type Hub struct {
	logger *slog.Logger
	rules  *auth.Rules

	turn sync.Mutex // held by Restart and Close, so that only one runs at a time

	mu      sync.RWMutex
	life    *life // nil during a restart
	serving bool  // the operations have been announced again
}

// life is the state that a restart discards.
type life struct {
	broker  *broker.Broker
	flow    *webflow.Flow
	store   *auth.Revocations
	tickets *ticket.Issuer
}

// New starts a broker. Call [Hub.Close] to end it.
func New(logger *slog.Logger) (*Hub, error) {
	rules, err := rules()
	if err != nil {
		return nil, err
	}
	h := &Hub{logger: logger, rules: rules}
	if h.life, err = h.start(); err != nil {
		return nil, err
	}
	h.serving = true
	return h, nil
}

// rules returns rules that allow each page only what it needs. Everything else
// is denied, including /topic/** and other users' destinations.
func rules() (*auth.Rules, error) {
	allow := func(act auth.Action, destination string, roles, scopes []string) auth.Rule {
		return auth.Rule{Effect: auth.Allow, Actions: []auth.Action{act}, Destination: destination, Roles: roles, Scopes: scopes}
	}
	waiting := []string{RoleWaiting}
	return auth.NewRules(
		allow(auth.Subscribe, "/user/topic/registration", waiting, nil),
		allow(auth.Subscribe, "/user/topic/authorization", waiting, nil),
		allow(auth.Send, "/user/topic/registration", waiting, nil),
		allow(auth.Send, "/app/registration", waiting, nil),
		allow(auth.Subscribe, "/user"+Requests, []string{RolePhone}, nil),
		allow(auth.Subscribe, "/user"+Readings, nil, []string{ScopeReadings}),
		allow(auth.Subscribe, "/user"+Notices, nil, []string{ScopeReadings}),
	)
}

func (h *Hub) start() (*life, error) {
	store := auth.NewRevocations()
	tickets, err := ticket.New(ticket.NewMemory(), store, ticket.Options{})
	if err != nil {
		return nil, err
	}
	b, err := broker.New(broker.Options{Authenticator: tickets, Authorizer: h.rules, Revocations: store, Logger: h.logger})
	if err != nil {
		return nil, err
	}
	flow, err := webflow.New(b, webflow.Options{Logger: h.logger})
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return &life{b, flow, store, tickets}, nil
}

func (l *life) end() error { return errors.Join(l.flow.Close(), l.broker.Close()) }

// Restart closes the broker and starts another without the old one's state: all
// sessions end, and tickets and operations are lost. announce opens the
// operations again before clients may connect.
func (h *Hub) Restart(announce func() error) error {
	h.turn.Lock()
	defer h.turn.Unlock()
	h.mu.Lock()
	old := h.life
	h.life, h.serving = nil, false
	h.mu.Unlock()
	if old == nil {
		return ErrDown
	}
	if err := old.end(); err != nil {
		return err
	}
	next, err := h.start()
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.life = next
	h.mu.Unlock()
	if err := announce(); err != nil {
		return err
	}
	h.mu.Lock()
	h.serving = true
	h.mu.Unlock()
	return nil
}

// Close closes the broker permanently.
func (h *Hub) Close() error {
	h.turn.Lock()
	defer h.turn.Unlock()
	h.mu.Lock()
	l := h.life
	h.life, h.serving = nil, false
	h.mu.Unlock()
	if l == nil {
		return nil
	}
	return l.end()
}

// current returns the current life. The program may use it before clients may.
func (h *Hub) current() (*life, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.life == nil {
		return nil, ErrDown
	}
	return h.life, nil
}

// Open announces an operation, so that clients with a ticket for it can wait
// for it.
func (h *Hub) Open(ctx context.Context, o webflow.Operation) error {
	l, err := h.current()
	if err != nil {
		return err
	}
	_, err = l.flow.Open(ctx, o)
	return err
}

// Notify tells the page that waits for an operation to ask the authorization
// server again.
func (h *Hub) Notify(ctx context.Context, operationID, result string) error {
	l, err := h.current()
	if err != nil {
		return err
	}
	_, err = l.flow.Notify(ctx, operationID, result)
	return err
}

// Tell sends JSON to all windows of a user. It is not an error if there are
// none.
func (h *Hub) Tell(ctx context.Context, user, destination string, body []byte) error {
	l, err := h.current()
	if err != nil {
		return err
	}
	_, err = l.broker.PublishToUser(ctx, user, &broker.Message{
		Destination: destination,
		Headers:     []broker.Header{{Name: "content-type", Value: "application/json"}},
		Body:        body,
	})
	return err
}

// Users returns the names of the connected users, in no order.
func (h *Hub) Users() []string {
	l, err := h.current()
	if err != nil {
		return nil
	}
	var names []string
	for name := range l.broker.Users() {
		names = append(names, name)
	}
	return names
}

// Revoke ends the sessions and invalidates the unused tickets of a credential.
func (h *Hub) Revoke(credential string) error {
	l, err := h.current()
	if err != nil {
		return nil // the restart has ended them
	}
	return l.store.Revoke(context.Background(), auth.Revocation{Credential: credential})
}

// serve returns the current life if clients may use it.
func (h *Hub) serve(w http.ResponseWriter) *life {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if !h.serving {
		auth.WriteRefusal(w, &auth.Refusal{Status: http.StatusServiceUnavailable, Reason: "restarting"})
		return nil
	}
	return h.life
}

// ServeHTTP serves the WebSocket endpoint.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l := h.serve(w); l != nil {
		l.broker.ServeHTTP(w, r)
	}
}

// Tickets returns an endpoint that gives tickets to pages.
func (h *Hub) Tickets(o ticket.HandlerOptions) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l := h.serve(w)
		if l == nil {
			return
		}
		// Create the handler for each request, because the tickets belong to
		// the current life.
		handler, err := l.tickets.Handler(o)
		if err != nil {
			h.logger.Error("ticket endpoint", "error", err)
			auth.WriteRefusal(w, misconfigured())
			return
		}
		handler.ServeHTTP(w, r)
	})
}

func misconfigured() error {
	return &auth.Refusal{Status: http.StatusInternalServerError, Reason: "misconfigured"}
}
