package broker

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hoofbeat/hoofbeat/broker/internal/hook"
)

// Observer is a set of callbacks that notify a program of events, in the style
// of net/http/httptrace: nil callbacks are skipped and cost nothing.
//
// They run on the session's goroutine, one after another and in the order of
// its events: Connected, then Subscribed and Unsubscribed of each subscription,
// then Disconnected. So a callback delays only that client. Callbacks for
// different sessions run concurrently. They may call every method of the Broker
// except Close and Drain.
//
// Every event is reported once to each observer that exists when it happens. An
// observer that is added later is also told of the end of what began before. A
// callback that panics is logged and has no other effect.
type Observer struct {
	// Connected is called after CONNECTED was sent. SessionInfo has Origin and
	// UserAgent.
	Connected func(SessionInfo)
	// Disconnected is called once for each Connected, after the session has
	// left the registry and its subscriptions have ended. SessionInfo has
	// Received and Sent.
	Disconnected func(SessionInfo, *Error)
	// Subscribed is called when the subscription is active: it receives all
	// messages that are published from then on. A SUBSCRIBE to an application
	// destination is answered and is no subscription.
	Subscribed func(s SessionInfo, destination, id string)
	// Unsubscribed is called once for each Subscribed, when the subscription
	// receives nothing more.
	Unsubscribed func(s SessionInfo, destination, id string, why SubscriptionEnd)
}

// SubscriptionEnd is the reason why a subscription ended.
type SubscriptionEnd uint8

// The reasons. Each comment begins with what String returns.
const (
	EndedByClient    SubscriptionEnd = iota // unsubscribe: the client sent UNSUBSCRIBE
	EndedWithSession                        // session-ended: its session ended
	EndedByRules                            // denied: the rules deny it since SetPolicy or a renewal of the credential
	EndedByDeletion                         // deleted: the durable subscription that it used was deleted
)

// String returns a short name for logs and events.
func (e SubscriptionEnd) String() string {
	switch e {
	case EndedByClient:
		return "unsubscribe"
	case EndedWithSession:
		return "session-ended"
	case EndedByRules:
		return "denied"
	case EndedByDeletion:
		return "deleted"
	}
	return "unknown"
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

// tellUnsubscribed notifies the observers that subscriptions have ended, if one
// of them wants to know.
func (s *session) tellUnsubscribed(bt *batch, why SubscriptionEnd, ended ...*subscriber) {
	asked := func(o *Observer) bool { return o.Unsubscribed != nil }
	if len(ended) == 0 || !slices.ContainsFunc(s.b.watchers.current(), asked) {
		return
	}
	info := s.info()
	for _, sub := range ended {
		s.tell(bt, func(o *Observer) {
			if asked(o) {
				o.Unsubscribed(info, sub.dest.Name, sub.ID, why)
			}
		})
	}
}

// observe calls f for every observer. A panic is logged and has no other
// effect: the reported event has already happened.
func (b *Broker) observe(f func(*Observer)) {
	for _, o := range b.watchers.current() {
		_ = hook.Call(b.hookPanicked, "Observer", func() error { f(o); return nil }) // logged
	}
}
