package interop_test

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

// scriptDeadline is for a script as a whole; its tests have shorter ones.
const scriptDeadline = 50 * time.Second

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

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// A runner runs a script of this folder's clients, with a value for its argument.
type runner func(name string, input any)

// node returns what runs scripts with Node.
func node(t *testing.T) runner {
	t.Helper()
	path, err := exec.LookPath("node")
	requires(t, err == nil, "node", "apt-get install nodejs npm")
	requires(t, exists("node_modules/ws"), "broker/interop/node_modules", "cd broker/interop && npm ci")
	return func(name string, input any) {
		t.Helper()
		script(t, input, path, "clients/"+name)
	}
}

// python returns what runs scripts with the Python that has stomp.py.
func python(t *testing.T) runner {
	t.Helper()
	const path = "/usr/bin/python3" // Debian's own, whatever else is on the PATH
	err := exec.Command(path, "-c", "import stomp").Run()
	requires(t, err == nil, "python3-stomp", "apt-get install python3-stomp")
	return func(name string, input any) {
		t.Helper()
		script(t, input, path, "-B", "clients/"+name) // -B: leave no __pycache__ here
	}
}

// chromium returns the path of the browser.
func chromium(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	requires(t, err == nil, "chromium", "apt-get install chromium")
	return path
}

// report is a line that a script prints about one of its tests.
type report struct {
	Test  string
	Error string
	MS    int
	Done  *int
}

// script runs a program and makes each of its reports a subtest.
func script(t *testing.T, input any, argv ...string) {
	t.Helper()
	arg, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), scriptDeadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], append(argv[1:], string(arg))...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // lets it end its browser
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	name, start := argv[len(argv)-1], time.Now()
	failed := cmd.Run()
	if ctx.Err() != nil {
		failed = ctx.Err()
	}

	tests, done := 0, -1
	for lines := bufio.NewScanner(bytes.NewReader(out.Bytes())); lines.Scan(); {
		var r report
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
		t.Errorf("%s ended after %v with %v, reported %d tests and counted %d", name, time.Since(start).Round(time.Millisecond), failed, tests, done)
	}
	if t.Failed() {
		t.Logf("output of %s:\n%s", name, out.Bytes())
	}
}
