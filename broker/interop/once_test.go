package interop_test

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
)

// TestStompJSSendsOnce is @stomp/stompjs 7 with the outbox that the
// documentation shows.
func TestStompJSSendsOnce(t *testing.T) {
	t.Parallel()
	run := node(t)
	f := start(t, broker.Options{})
	run("once.mjs", brokers{URL: f.URL})
	f.quiet(t)
}

// The documentation shows the outbox that the test runs.
func TestDocumentedOutbox(t *testing.T) { documented(t, "headers.md", "outbox.mjs") }
