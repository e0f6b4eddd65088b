package broker

import (
	"fmt"
	"strings"
	"sync"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/topics"
)

// reserved are the private paths, "/topic/session", on which a client hears the
// broker or the program and nobody else.
type reserved struct {
	mu    sync.RWMutex
	paths map[string]struct{}
}

// Reserve makes private destinations the program's own: what a client hears on
// them comes from the program, by [Broker.PublishToUser], [Broker.PublishToSession],
// [Broker.Publish] or [Request.Reply]. A SEND of a client to such a destination of
// any user, /user/{name}/topic/prices, is denied whatever the Authorizer says. A
// SEND to /user/topic/prices is not concerned: it reaches a handler and no client.
//
// Destinations are written as for PublishToUser, "/topic/prices". The broker
// reserves /topic/session and /queue/errors, package webflow /topic/registration and
// /topic/authorization. Reserve before clients connect. The error is ErrDestination.
func (b *Broker) Reserve(destinations ...string) error {
	for _, name := range destinations {
		d, err := b.o.names.ParseSubscription(b.userPrefix() + name)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDestination, err)
		}
		whole := strings.HasPrefix(name, b.userPrefix()+"/") // with the prefix, that is
		if d.Pattern || d.Kind != topics.UserPrivate || b.handlers(name) || whole {
			return fmt.Errorf("%w: %q is not a private topic or queue without wildcards", ErrDestination, name)
		}
		b.reserved.mu.Lock()
		if b.reserved.paths == nil {
			b.reserved.paths = make(map[string]struct{})
		}
		b.reserved.paths[topics.Collapse(name)] = struct{}{}
		b.reserved.mu.Unlock()
	}
	return nil
}

// has reports whether a client must not SEND to d. One spelling with empty
// segments stands for all.
func (r *reserved) has(d topics.Destination) bool {
	if d.Kind != topics.UserNamed {
		return false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, found := r.paths[topics.Collapse(d.Path)]
	return found
}

// forgery refuses a SEND that would look like a message of the broker's own.
func (s *session) forgery(d topics.Destination) *Error {
	if !s.b.reserved.has(d) {
		return nil
	}
	return s.denied(auth.ErrDenied, auth.Send, d.Name)
}
