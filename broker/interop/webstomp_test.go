package interop_test

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
)

// TestWebstomp is webstomp-client 1.2.6.
func TestWebstomp(t *testing.T) {
	t.Parallel()
	run := node(t)
	plain, fast := start(t, broker.Options{}), start(t, quickly())
	run("webstomp.mjs", brokers{URL: plain.URL, Quick: fast.URL, Beat: quick.Milliseconds()})
	plain.quiet(t)
	fast.quiet(t)
}
