package interop_test

import (
	"context"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// TestStompJS2Waits: the unmodified old client completes the wait. Somebody
// approves as soon as the page is registered.
func TestStompJS2Waits(t *testing.T) {
	t.Parallel()
	run := node(t)
	srv := brokertest.Start(t, broker.Options{})
	approve := make(chan string, 1)
	flow, err := webflow.New(srv.Broker, webflow.Options{Registered: func(e webflow.Event) { approve <- e.OperationID }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flow.Close() })
	const operation = "40269145-d91f-4579-badd-c57fa1133239"
	id, err := flow.Open(context.Background(), webflow.Operation{ID: operation, Owner: webflow.Owner{Anyone: true}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := flow.Notify(context.Background(), <-approve, "CONFIRMED")
		done <- err
	}()
	run("wait.mjs", map[string]string{"url": srv.URL, "id": id})
	if err := testkit.Receive(t, done); err != nil {
		t.Errorf("notify: %v", err)
	}
}
