package interop_test

import (
	"os"
	"strings"
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
func TestDocumentedOutbox(t *testing.T) {
	page, err := os.ReadFile("../../docs/headers.md")
	if err != nil {
		t.Fatal(err)
	}
	outbox, err := os.ReadFile("clients/outbox.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```js\n"+string(outbox)+"```\n") {
		t.Error("docs/headers.md does not contain clients/outbox.mjs as it is")
	}
}
