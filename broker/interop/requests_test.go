package interop_test

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
)

// TestStompJSRequests is @stomp/stompjs 7 with the code of the documentation, and
// as clients of RabbitMQ and ActiveMQ send requests.
func TestStompJSRequests(t *testing.T) {
	t.Parallel()
	run := node(t)
	f := start(t, broker.Options{})
	run("requests.mjs", brokers{URL: f.URL})
	f.quiet(t)
}

// The documentation shows the code that the test runs.
func TestDocumentedRequester(t *testing.T) { documented(t, "request-reply.md", "requester.mjs") }
