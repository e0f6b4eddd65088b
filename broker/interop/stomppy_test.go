package interop_test

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
)

// TestStompPy is stomp.py, as Debian has it, over TCP.
func TestStompPy(t *testing.T) {
	t.Parallel()
	run := python(t)
	plain, fast := start(t, broker.Options{}), start(t, quickly())
	run("stomppy.py", map[string]any{"tcp": plain.TCP, "quick": fast.TCP, "beat": quick.Milliseconds()})
	plain.quiet(t)
	fast.quiet(t)
}
