package broker

import (
	"iter"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Observer is a set of callbacks that tell a program what happens, in the way
// of net/http/httptrace: nil ones are left out. They run on the session's
// goroutine, in the order of its events, and so delay that client and nobody
// else. They may call every method of the Broker but Close and Drain.
type Observer struct {
	// Connected is called when CONNECTED was sent.
	Connected func(SessionInfo)
	// Disconnected is called once for each Connected, after the session has
	// left the registry and its subscriptions are gone. An observer that was
	// added later hears of the end of those that had connected before.
	Disconnected func(SessionInfo, *Error)
	// Subscribed is called when the subscription is active: what is published
	// from now on reaches it.
	Subscribed func(s SessionInfo, destination, id string)
	// Unsubscribed is called for UNSUBSCRIBE, not at the session's end.
	Unsubscribed func(s SessionInfo, destination, id string)
}

// watchers is the list of observers, replaced and never changed.
type watchers struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*Observer]
}

// Observe adds an observer; cancel removes it. Several may watch.
func (b *Broker) Observe(o Observer) (cancel func()) {
	w := &b.watchers
	entry := &o
	w.mu.Lock()
	defer w.mu.Unlock()
	list := append(slices.Clone(w.current()), entry)
	w.list.Store(&list)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		list := slices.DeleteFunc(slices.Clone(w.current()), func(e *Observer) bool { return e == entry })
		w.list.Store(&list)
	}
}

func (w *watchers) current() []*Observer {
	if l := w.list.Load(); l != nil {
		return *l
	}
	return nil
}

// observe calls f for every observer. One that panics is logged: what it was
// told has happened already.
func (b *Broker) observe(f func(*Observer)) {
	for _, o := range b.watchers.current() {
		_, _ = guard(b, "Observer", func() (struct{}, error) { f(o); return struct{}{}, nil }) // logged
	}
}

// SessionInfo describes a connected session.
type SessionInfo struct {
	ID     string
	User   string // principal name, "" when anonymous
	Roles  []string
	Remote netip.AddrPort
	// Transport is "websocket", "tcp", or what a [Transport] calls itself, such as
	// "sockjs-xhr-streaming"; "transport" if that says nothing.
	Transport     string
	Version       string // STOMP version
	Opened        time.Time
	Subscriptions int
	// Pending is the number of bytes waiting to be written to it.
	Pending int
	// Unacknowledged is the number of queue messages it was given and has not
	// acknowledged, and of those whose publisher asked to hear of it.
	Unacknowledged int
}

func (s *session) info() SessionInfo {
	s.out.mu.Lock()
	pending := s.out.bytes
	s.out.mu.Unlock()
	return SessionInfo{
		ID: s.id, User: s.userName(), Roles: s.principal.Load().Roles, Remote: s.peer,
		Transport: s.wire.kind(), Version: s.version.String(),
		Opened:         s.b.started.Add(time.Duration(s.opened)),
		Subscriptions:  int(s.subscribed.Load()),
		Pending:        pending,
		Unacknowledged: int(s.unacked.Load()),
	}
}

// Sessions returns the connected sessions, in no order. The list is taken when
// the iteration begins.
func (b *Broker) Sessions() iter.Seq[SessionInfo] {
	return func(yield func(SessionInfo) bool) {
		b.mu.Lock()
		all := make([]*session, 0, len(b.sessions))
		for _, s := range b.sessions {
			all = append(all, s)
		}
		b.mu.Unlock()
		for _, s := range all {
			if phase(s.phase.Load()) == phaseOpen && !yield(s.info()) {
				return
			}
		}
	}
}

// Users returns the names of connected users and how many sessions each has.
func (b *Broker) Users() iter.Seq2[string, int] { return b.router.Users() }

// DestinationInfo describes a destination that is in use.
type DestinationInfo struct {
	Name          string
	Subscriptions int
	// Of a work queue: what it holds, and how much of that is handed out and
	// not acknowledged.
	Messages       int
	Bytes          int64
	Unacknowledged int
}

// Destinations returns the shared destinations with subscribers and the queues
// that hold something, in no order. User destinations are private and left out.
func (b *Broker) Destinations() iter.Seq[DestinationInfo] {
	return func(yield func(DestinationInfo) bool) {
		for name, n := range b.router.Shared() {
			if !yield(DestinationInfo{Name: name, Subscriptions: n}) {
				return
			}
		}
		for q := range b.queues.All() {
			if !yield(DestinationInfo{Name: q.Name, Subscriptions: q.Consumers, Messages: q.Messages, Bytes: q.Bytes, Unacknowledged: q.Unsettled}) {
				return
			}
		}
	}
}
