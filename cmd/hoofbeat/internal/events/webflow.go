package events

import (
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// The bounds of events about waiting pages.
const (
	// MaxQueue is the maximum number of waiting events.
	MaxQueue = 1000
	// MaxTries is the maximum number of attempts to send one event.
	MaxTries = 10
	// MaxTime is the maximum time to retry one event.
	MaxTime = 5 * time.Minute
)

// ForWebFlow returns a Sender for [Sender.Callback]. Each request has one event.
func ForWebFlow(o Options) (*Sender, error) {
	return start(o, manner{key: "webflow.events", name: "webflow events", maxEvents: MaxQueue, maxTries: MaxTries, maxTime: MaxTime})
}

// operationEvent is an event about a waiting page.
type operationEvent struct {
	Event       string    `json:"event"`
	Operation   string    `json:"operation"`
	WebSocketID string    `json:"websocket_id"`
	User        string    `json:"user"`
	Session     string    `json:"session"`
	Result      string    `json:"result"`
	Reason      string    `json:"reason,omitempty"`
	Code        int       `json:"code,omitempty"`
	Time        time.Time `json:"time"`
}

// Callback returns a callback for [webflow.Options] that sends its events under
// the given name. It never blocks.
func (s *Sender) Callback(name string) func(webflow.Event) {
	return func(e webflow.Event) {
		reason := ""
		if e.Reason != broker.ReasonNone {
			reason = e.Reason.String()
		}
		s.put(operationEvent{
			Event: name, Operation: e.OperationID, WebSocketID: e.WebSocketID, User: e.User, Session: e.Session,
			Result: e.Result, Reason: reason, Code: e.Code, Time: time.Now().UTC(),
		})
	}
}
