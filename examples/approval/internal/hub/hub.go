// Package hub is the demo's broker, with what lives and dies with it: its
// tickets, its revocations and its operations. It can be restarted, as a process
// would be, to see that a page that waits survives it.
package hub

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// ErrDown is returned while the broker is between two lives.
var ErrDown = errors.New("hub: the broker is restarting")

// Roles and scopes that the rules ask for.
const (
	// RoleWaiting is who waits for one operation. He may do nothing else.
	RoleWaiting = "waiting"
	// RolePhone is the device that approves.
	RolePhone = "phone"
	// ScopeReadings is a signed-in user who was granted the readings.
	ScopeReadings = "readings"
)

// Destinations of the demo, as a program publishes to them.
const (
	Readings = "/queue/readings" // what the background job has fetched
	Notices  = "/queue/notices"  // what a user has to know about the sign-in
	Requests = "/queue/requests" // tells the phone to look at its requests again
)

// Hub is one broker after another. It is safe for concurrent use.
type Hub struct {
	logger *slog.Logger
	rules  *auth.Rules

	turn sync.Mutex // held by Restart and Close, one after another

	mu      sync.RWMutex
	life    *life // nil between two lives
	serving bool  // the operations of the life before have been announced again
}

// life is what a restart ends.
type life struct {
	broker  *broker.Broker
	flow    *webflow.Flow
	store   *auth.Store
	tickets *auth.Tickets
}

// New starts a broker. End it with [Hub.Close].
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

// rules let nobody do more than his page needs: what they do not name is denied,
// /topic/** and other people's destinations among it.
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
	store := auth.NewStore()
	tickets, err := auth.NewTickets(store, auth.TicketOptions{})
	if err != nil {
		return nil, err
	}
	b, err := broker.New(broker.Options{Authenticator: tickets, Authorizer: h.rules, Store: store, Logger: h.logger})
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

// Restart ends the broker and starts another, which knows nothing of the first:
// every session is cut off, tickets and operations are gone. announce opens the
// operations again, before anybody is let in.
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

// Close ends the broker for good.
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

// current returns the present life, which the program may use before clients may.
func (h *Hub) current() (*life, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.life == nil {
		return nil, ErrDown
	}
	return h.life, nil
}

// Open announces an operation that may be waited for by whoever has a ticket for it.
func (h *Hub) Open(ctx context.Context, o webflow.Operation) error {
	l, err := h.current()
	if err != nil {
		return err
	}
	_, err = l.flow.Open(ctx, o)
	return err
}

// Notify tells the page that waits for an operation that it is worth asking again.
func (h *Hub) Notify(ctx context.Context, operationID, result string) error {
	l, err := h.current()
	if err != nil {
		return err
	}
	_, err = l.flow.Notify(ctx, operationID, result)
	return err
}

// Tell sends JSON to all windows of a user; that there are none is no error.
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

// Users returns who is connected now, in no order.
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

// Revoke ends the sockets and unused tickets of a credential.
func (h *Hub) Revoke(credential string) error {
	l, err := h.current()
	if err != nil {
		return nil // what it would end has ended
	}
	return l.store.Revoke(auth.Revocation{Credential: credential})
}

// serve returns the life that clients may use.
func (h *Hub) serve(w http.ResponseWriter) *life {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if !h.serving {
		auth.WriteRefusal(w, &auth.Refusal{Status: http.StatusServiceUnavailable, Reason: "restarting"})
		return nil
	}
	return h.life
}

// ServeHTTP is the WebSocket endpoint.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l := h.serve(w); l != nil {
		l.broker.ServeHTTP(w, r)
	}
}

// Tickets returns an endpoint that gives a page a ticket.
func (h *Hub) Tickets(o auth.HandlerOptions) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l := h.serve(w)
		if l == nil {
			return
		}
		// Made anew each time, because the tickets are those of the present life.
		handler, err := l.tickets.Handler(o)
		if err != nil {
			h.logger.Error("ticket endpoint", "error", err)
			auth.WriteRefusal(w, &auth.Refusal{Status: http.StatusInternalServerError, Reason: "misconfigured"})
			return
		}
		handler.ServeHTTP(w, r)
	})
}
