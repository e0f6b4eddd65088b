package sockjs_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// requires ends the test when a tool is missing, as a failure where everything
// has to run.
func requires(t *testing.T, ok bool, what, install string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("HOOFBEAT_E2E") == "required":
		t.Fatalf("%s is missing: %s", what, install)
	default:
		t.Skipf("%s is missing: %s", what, install)
	}
}

// script runs a program of clients/ with a value for its argument, and makes each
// of the reports that it prints a subtest.
func script(t *testing.T, name string, input any) {
	t.Helper()
	node, err := exec.LookPath("node")
	requires(t, err == nil, "node", "apt-get install nodejs npm")
	_, err = os.Stat("node_modules/sockjs-client")
	requires(t, err == nil, "broker/sockjs/node_modules", "cd broker/sockjs && npm ci")
	arg, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "clients/"+name, string(arg))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // lets it end its browser
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	failed := cmd.Run()

	tests, done := 0, -1
	for lines := bufio.NewScanner(bytes.NewReader(out.Bytes())); lines.Scan(); {
		var r struct {
			Test, Error string
			MS          int
			Done        *int
		}
		if !strings.HasPrefix(lines.Text(), "{") || json.Unmarshal(lines.Bytes(), &r) != nil {
			continue
		}
		if r.Done != nil {
			done = *r.Done
			continue
		}
		tests++
		t.Run(r.Test, func(t *testing.T) {
			t.Logf("took %d ms", r.MS)
			if r.Error != "" {
				t.Error(r.Error)
			}
		})
	}
	if failed != nil || done < 1 || done != tests {
		t.Errorf("%s ended with %v, reported %d tests and counted %d", name, failed, tests, done)
	}
	if t.Failed() {
		t.Logf("output of %s:\n%s", name, out.Bytes())
	}
}
