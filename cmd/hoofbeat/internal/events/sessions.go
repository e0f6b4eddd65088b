package events

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// The events of a session, in the order in which they can occur.
const (
	Connected    = "connected"
	Subscribed   = "subscribed"
	Unsubscribed = "unsubscribed"
	Disconnected = "disconnected"
)

// ForSessions returns a Sender for [Sender.Observer]. Each request has a list of
// events, and is repeated until it is accepted.
func ForSessions(o Options) (*Sender, error) {
	return start(o, manner{key: "events", name: "session events", batch: true, maxBytes: o.MaxBytes})
}

// Selection says which events of sessions are sent.
type Selection struct {
	// Types are the names of the events.
	Types []string
	// Destinations, if not empty, restrict subscribed and unsubscribed.
	Destinations *Destinations
	// Node is the name of the broker, in each event.
	Node string
}

// sessionEvent is an event of a session. It has no credential and nothing that a
// message contains.
type sessionEvent struct {
	Event        string         `json:"event"`
	Time         time.Time      `json:"time"`
	Node         string         `json:"node"`
	Session      string         `json:"session"`
	User         string         `json:"user"`
	Remote       netip.AddrPort `json:"remote"`
	Transport    string         `json:"transport"`
	Origin       string         `json:"origin,omitempty"`
	UserAgent    string         `json:"user_agent,omitempty"`
	Destination  string         `json:"destination,omitempty"`
	Subscription string         `json:"subscription,omitempty"`
	Reason       string         `json:"reason,omitempty"`
	*ending
}

// ending is what only disconnected has.
type ending struct {
	Code     int    `json:"code"`
	Duration int64  `json:"duration_ms"`
	Received uint32 `json:"received"`
	Sent     uint32 `json:"sent"`
}

// Observer returns an observer that sends the selected events. Its callbacks
// never block.
func (s *Sender) Observer(sel Selection) (o broker.Observer, err error) {
	for _, name := range sel.Types {
		if !slices.Contains([]string{Connected, Subscribed, Unsubscribed, Disconnected}, name) {
			return o, fmt.Errorf("there is no event %q", name)
		}
	}
	event := func(name string, i *broker.SessionInfo) sessionEvent {
		return sessionEvent{
			Event: name, Time: time.Now().UTC(), Node: sel.Node, Session: i.ID, User: i.User, Remote: i.Remote, Transport: i.Transport,
			Origin: i.Origin, UserAgent: i.UserAgent,
		}
	}
	if slices.Contains(sel.Types, Connected) {
		o.Connected = func(i broker.SessionInfo) { s.put(event(Connected, &i)) }
	}
	if slices.Contains(sel.Types, Subscribed) {
		o.Subscribed = func(i broker.SessionInfo, destination, id string) {
			if sel.Destinations.Match(destination) {
				e := event(Subscribed, &i)
				e.Destination, e.Subscription = destination, id
				s.put(e)
			}
		}
	}
	if slices.Contains(sel.Types, Unsubscribed) {
		o.Unsubscribed = func(i broker.SessionInfo, destination, id string, why broker.SubscriptionEnd) {
			if sel.Destinations.Match(destination) {
				e := event(Unsubscribed, &i)
				e.Destination, e.Subscription, e.Reason = destination, id, why.String()
				s.put(e)
			}
		}
	}
	if slices.Contains(sel.Types, Disconnected) {
		o.Disconnected = func(i broker.SessionInfo, why *broker.Error) {
			e := event(Disconnected, &i)
			e.Reason = why.Reason.String()
			e.ending = &ending{Code: why.ClientCode, Duration: time.Since(i.Opened).Milliseconds(), Received: i.Received, Sent: i.Sent}
			if e.Code == 0 {
				e.Code = why.Reason.CloseCode()
			}
			s.put(e)
		}
	}
	return o, nil
}
