package broker

import (
	"fmt"
	"strings"
	"sync"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/topics"
)

// reserved are the private paths, such as "/topic/session", to which only the
// broker or the program may send.
type reserved struct {
	mu     sync.RWMutex
	paths  map[string]struct{}
	queues map[string]struct{}
}

// Reserve reserves private destinations for the program: only
// [Broker.PublishToUser], [Broker.PublishToSession], [Broker.Publish] and
// [Request.Reply] can send to them. A client's SEND to such a destination of
// any user, /user/{name}/topic/prices, is denied whatever the Authorizer
// decides. A SEND to /user/topic/prices is not affected: it reaches a handler
// and no client.
//
// Write destinations as for PublishToUser: "/topic/prices". The broker reserves
// /topic/session and /queue/errors; package webflow reserves
// /topic/registration and /topic/authorization. Call Reserve before clients
// connect. The error is ErrDestination.
func (b *Broker) Reserve(destinations ...string) error {
	for _, name := range destinations {
		d, err := b.o.names.ParseSubscription(b.userPrefix() + name)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDestination, err)
		}
		whole := strings.HasPrefix(name, b.userPrefix()+"/") // it includes the user prefix
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

// ReserveQueue reserves a work queue, such as "/queue/orders", and its dead
// letters for the program: a client's SEND to either is denied whatever the
// Authorizer decides. Call it before clients connect. The error is
// ErrDestination.
func (b *Broker) ReserveQueue(queue string) error {
	d, err := b.o.names.Parse(queue)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDestination, err)
	}
	if d.Pattern || !b.workQueue(d) {
		return fmt.Errorf("%w: %q does not name one work queue", ErrDestination, queue)
	}
	b.reserved.mu.Lock()
	defer b.reserved.mu.Unlock()
	if b.reserved.queues == nil {
		b.reserved.queues = make(map[string]struct{})
	}
	b.reserved.queues[topics.Collapse(d.Path)] = struct{}{}
	if dead, ok := b.o.names.DeadLetters(d.Path); ok {
		b.reserved.queues[topics.Collapse(dead)] = struct{}{}
	}
	return nil
}

// has reports whether a client must not SEND to d. All spellings with empty
// segments count as the same destination.
func (r *reserved) has(d topics.Destination) bool {
	if d.Kind != topics.UserNamed && d.Kind != topics.Queue {
		return false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	names := r.paths
	if d.Kind == topics.Queue {
		names = r.queues
	}
	if len(names) == 0 {
		return false
	}
	_, found := names[topics.Collapse(d.Path)]
	return found
}

// forgery denies a SEND that would look like a message from the broker.
func (s *session) forgery(d topics.Destination) *Error {
	if !s.b.reserved.has(d) && !(d.Kind == topics.Topic && s.b.presence.owns(d.Path)) {
		return nil
	}
	return s.denied(auth.ErrDenied, auth.Send, d.Name)
}
