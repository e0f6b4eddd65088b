package interop_test

import (
	"os"
	"strings"
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
func TestDocumentedRequester(t *testing.T) {
	page, err := os.ReadFile("../../docs/request-reply.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("clients/requester.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```js\n"+string(code)+"```\n") {
		t.Error("docs/request-reply.md does not contain clients/requester.mjs as it is")
	}
}
