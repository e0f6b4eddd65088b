package sockjs_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/script"
)

// run runs a program of clients/ with a value for its argument.
func run(t *testing.T, name string, input any) {
	t.Helper()
	node, err := exec.LookPath("node")
	script.Requires(t, err == nil, "node", "apt-get install nodejs npm")
	_, err = os.Stat("node_modules/sockjs-client")
	script.Requires(t, err == nil, "broker/sockjs/node_modules", "cd broker/sockjs && npm ci")
	script.Run(t, 8*time.Minute, node, "clients/"+name, script.Argument(t, input))
}
