package interop_test

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
)

// TestStompJSHistory runs the lines of docs/history.md with @stomp/stompjs 7.
func TestStompJSHistory(t *testing.T) {
	t.Parallel()
	run := node(t)
	f := start(t, broker.Options{History: []broker.History{{Destination: "/topic/prices/**", Messages: 5}}})
	run("history.mjs", brokers{URL: f.URL})
	f.quiet(t)
}
