package interop_test

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
)

// TestStompJSPresence runs the lines of docs/presence.md with @stomp/stompjs 7.
func TestStompJSPresence(t *testing.T) {
	t.Parallel()
	run := node(t)
	f := start(t, broker.Options{Presence: []string{"/topic/room/**"}, Limits: broker.Limits{PresenceLeaving: 1}})
	run("presence.mjs", brokers{URL: f.URL})
	f.quiet(t)
}
