// Package script runs the clients that are not Go programs, for the tests of the
// broker and of its children. A script prints a line of JSON for each of its tests,
// {"test":"…","error":"…","ms":1}, and {"done":N} with their number at the end;
// each report becomes a subtest, and a script that dies early fails.
package script

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

// Requires ends the test when a tool is missing: as skipped, or with
// HOOFBEAT_E2E=required in the environment as a failure.
func Requires(t *testing.T, ok bool, what, install string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("HOOFBEAT_E2E") == "required":
		t.Fatalf("%s is missing: %s", what, install)
	default:
		t.Skipf("%s is missing: %s", what, install)
	}
}

// report is a line that a script prints: about one of its tests, or their number.
type report struct {
	Test  string
	Error string
	MS    int
	Done  *int
}

// Run runs a program for at most so long and makes each of its reports a subtest.
func Run(t *testing.T, deadline time.Duration, argv ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // lets it end its browser
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
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
		t.Errorf("the script ended after %v with %v, reported %d tests and counted %d", time.Since(start).Round(time.Millisecond), failed, tests, done)
	}
	if t.Failed() {
		t.Logf("output of the script:\n%s", out.Bytes())
	}
}

// Argument is a value as the JSON that a script takes for its argument.
func Argument(t *testing.T, v any) string {
	t.Helper()
	arg, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(arg)
}
