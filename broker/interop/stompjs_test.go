package interop_test

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
)

// brokers are the addresses that most scripts want.
type brokers struct {
	URL   string `json:"url"`
	Quick string `json:"quick,omitempty"` // with heart-beats every Beat ms
	Beat  int64  `json:"beat,omitempty"`
	Still string `json:"still,omitempty"` // with none
}

// TestStompJS is @stomp/stompjs 7.
func TestStompJS(t *testing.T) {
	t.Parallel()
	run := node(t)
	plain, fast := start(t, broker.Options{}), start(t, quickly())
	run("stompjs.mjs", brokers{URL: plain.URL, Quick: fast.URL, Beat: quick.Milliseconds()})
	plain.quiet(t)
	fast.quiet(t)
}

// TestStompJSAcknowledge is @stomp/stompjs 7 with queues and transactions.
func TestStompJSAcknowledge(t *testing.T) {
	t.Parallel()
	run := node(t)
	f := start(t, broker.Options{})
	run("stompjs-ack.mjs", brokers{URL: f.URL})
	f.quiet(t)
}
