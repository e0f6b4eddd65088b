package broker

import (
	"slices"
	"sync"
	"sync/atomic"

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
