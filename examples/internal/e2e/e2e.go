// Package e2e runs the examples that are not Go programs, for their tests.
package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Need skips the test if a file is missing, and says how to get it; with
// HOOFBEAT_E2E=required in the environment it fails instead.
func Need(t *testing.T, path, install string) {
	t.Helper()
	if _, err := os.Stat(path); err == nil {
		return
	}
	missing(t, filepath.Base(path), install)
}

func missing(t *testing.T, what, install string) {
	t.Helper()
	if os.Getenv("HOOFBEAT_E2E") == "required" {
		t.Fatalf("%s is missing: %s", what, install)
	}
	t.Skipf("%s is missing: %s", what, install)
}

// Run runs a command for at most five minutes, enough for a browser on a busy
// machine, and returns what it printed; the test fails if the command does.
func Run(t *testing.T, install, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		missing(t, name, install)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}
