// Package e2e helps to test the examples that are not Go programs.
package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Need skips the test if a file is missing, and says how to install it. With
// HOOFBEAT_E2E=required in the environment the test fails instead.
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

// Run runs a command and returns its output. The test fails if the command
// does, or if it takes longer than eight minutes, which is enough for a browser
// on a busy machine.
func Run(t *testing.T, install, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		missing(t, name, install)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}
