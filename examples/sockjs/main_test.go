package main

import (
	"net/http/httptest"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/examples/internal/e2e"
)

// TestPage drives the page in Chromium, with a WebSocket and without.
func TestPage(t *testing.T) {
	const modules = "../../broker/sockjs/node_modules"
	e2e.Need(t, modules+"/sockjs-client", "npm ci --prefix broker/sockjs")
	e2e.Need(t, "../node_modules/playwright-core", "npm install --prefix examples")
	e2e.Need(t, "/usr/bin/chromium", "apt-get install chromium")
	for transport, without := range map[string]bool{"websocket": false, "xhr-streaming": true} {
		t.Run(transport, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{})
			srv := httptest.NewServer(routes(b, modules, without))
			defer srv.Close()
			if out := e2e.Run(t, "install Node.js", "node", "browser.mjs", srv.URL, transport); out != "ok\n" {
				t.Errorf("it printed %q", out)
			}
		})
	}
}
