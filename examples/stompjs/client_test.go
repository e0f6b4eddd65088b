package stompjs_test

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/examples/internal/e2e"
)

func TestClient(t *testing.T) {
	e2e.Need(t, "../node_modules/@stomp/stompjs", "npm install --prefix examples")
	srv := brokertest.Start(t, broker.Options{})
	out := e2e.Run(t, "install Node.js", "node", "client.mjs", srv.URL)
	if out != "node: hello from stompjs\n" {
		t.Errorf("it printed %q", out)
	}
}
