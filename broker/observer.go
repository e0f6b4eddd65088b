package broker

import (
	"iter"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/hook"
)

// Observer is a set of callbacks that notify a program of events, in the style
// of net/http/httptrace: nil callbacks are skipped. They run on the session's
// goroutine, in the order of its events, so they delay only that client. They
// may call every method of the Broker except Close and Drain.
type Observer struct {
	// Connected is called after CONNECTED was sent.
	Connected func(SessionInfo)
	// Disconnected is called once for each Connected, after the session has
	// left the registry and its subscriptions have ended. An observer that is
	// added later is also called for sessions that connected before.
	Disconnected func(SessionInfo, *Error)
	// Subscribed is called when the subscription is active: it receives all
	// messages that are published from then on.
	Subscribed func(s SessionInfo, destination, id string)
	// Unsubscribed is called for UNSUBSCRIBE, but not at the end of the
	// session.
	Unsubscribed func(s SessionInfo, destination, id string)
}

// watchers is the list of observers; it is replaced, never modified.
type watchers struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*Observer]
}

// Observe adds an observer; cancel removes it. There may be several observers.
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

// observe calls f for every observer. A panic is logged and has no other
// effect: the reported event has already happened.
func (b *Broker) observe(f func(*Observer)) {
	for _, o := range b.watchers.current() {
		_ = hook.Call(b.hookPanicked, "Observer", func() error { f(o); return nil }) // logged
	}
}

// SessionInfo describes a connected session.
type SessionInfo struct {
	ID     string
	User   string // principal name, "" when anonymous
	Roles  []string
	Remote netip.AddrPort
	// Transport is "websocket", "tcp", or the Kind of a [Transport], such as
	// "sockjs-xhr-streaming"; "transport" if it has no Kind.
	Transport     string
	Version       string // STOMP version
	Opened        time.Time
	Subscriptions int
	// Pending is the number of bytes waiting to be written to it.
	Pending int
	// Unacknowledged is the number of messages delivered to it and not
	// acknowledged: those of queues, and those whose publisher set
	// Message.Settled.
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

// Sessions returns the connected sessions, in no order. The list is a snapshot
// made when the iteration begins.
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

// Users returns the names of connected users and the number of sessions of
// each.
func (b *Broker) Users() iter.Seq2[string, int] { return b.router.Users() }

// DestinationInfo describes a destination that is in use.
type DestinationInfo struct {
	Name          string
	Subscriptions int
	// For a work queue: the messages it holds, and how many of them are
	// delivered and not acknowledged.
	Messages       int
	Bytes          int64
	Unacknowledged int
}

// Destinations returns the shared destinations with subscribers and the queues
// that hold messages, in no order. User destinations are private and omitted.
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
