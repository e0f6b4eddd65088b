package broker

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/topics"
)

// reserved are the destinations to which only the broker or the program may
// send: private paths, such as "/topic/session", and queues.
type reserved struct{ paths, queues reservedNames }

// reservedNames are collapsed names, see [topics.Collapse]. Each SEND looks them
// up, so that nobody locks for it.
type reservedNames struct {
	adding sync.Mutex
	all    atomic.Pointer[map[string]struct{}] // replaced, not changed
}

func (r *reservedNames) add(name string) {
	r.adding.Lock()
	defer r.adding.Unlock()
	all := make(map[string]struct{})
	if now := r.all.Load(); now != nil {
		maps.Copy(all, *now)
	}
	all[topics.Collapse(name)] = struct{}{}
	r.all.Store(&all)
}

func (r *reservedNames) has(name string) bool {
	all := r.all.Load()
	if all == nil {
		return false
	}
	_, found := (*all)[topics.Collapse(name)]
	return found
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
		b.reserved.paths.add(name)
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
	b.reserved.queues.add(d.Path)
	if dead, ok := b.o.names.DeadLetters(d.Path); ok {
		b.reserved.queues.add(dead)
	}
	return nil
}

// has reports whether a client must not SEND to d. All spellings with empty
// segments count as the same destination.
func (r *reserved) has(d topics.Destination) bool {
	switch d.Kind {
	case topics.UserNamed:
		return r.paths.has(d.Path)
	case topics.Queue:
		return r.queues.has(d.Path)
	default:
		return false
	}
}

// forgery denies a SEND that would look like a message from the broker.
func (s *session) forgery(d topics.Destination) *Error {
	if !s.b.reserved.has(d) && !(d.Kind == topics.Topic && s.b.presence.owns(d.Path)) && !s.foreignDeadLetters(d) {
		return nil
	}
	return s.denied(auth.ErrDenied, auth.Send, d.Name)
}
