package interop_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
)

// TestStompJSDurable runs the lines of docs/durable.md with @stomp/stompjs 7.
func TestStompJSDurable(t *testing.T) {
	t.Parallel()
	run := node(t)
	f := start(t, broker.Options{Durable: []broker.Durable{{Destination: "/topic/orders/**", Messages: 5}}})
	away := func(ctx context.Context, r *broker.Request) error {
		session := "" // that uses the subscription
		for d := range f.Broker.DurableSubscriptions() {
			session = d.Session
		}
		_, err := r.Reply(ctx, &broker.Message{Body: strconv.AppendBool(nil, session == "")})
		return err
	}
	if err := f.Broker.Handle("/app/control/away", broker.HandlerFunc(away)); err != nil {
		t.Fatal(err)
	}
	run("durable.mjs", brokers{URL: f.URL})
	f.quiet(t)
}
