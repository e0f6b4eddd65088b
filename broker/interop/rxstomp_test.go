package interop_test

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
)

// TestRxStomp is @stomp/rx-stomp 2.4.
func TestRxStomp(t *testing.T) {
	t.Parallel()
	run := node(t)
	f := start(t, broker.Options{})
	run("rxstomp.mjs", brokers{URL: f.URL})
	f.quiet(t)
}
