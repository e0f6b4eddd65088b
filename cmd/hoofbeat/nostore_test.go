//go:build unix

package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
)

// a binary that is built with the tag nostore does not link the engine,
// says so when it is given a directory, and is a broker like the other.
func TestX23BuiltWithoutAStore(t *testing.T) {
	t.Parallel()
	deps, err := exec.Command("go", "list", "-deps", "-tags", "nostore", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(deps), "nats-server") {
		t.Error("the engine is linked")
	}
	path := filepath.Join(t.TempDir(), "hoofbeat")
	if out, err := exec.Command("go", "build", "-tags", "nostore", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	dir := filepath.Join(t.TempDir(), "store")
	for _, args := range [][]string{{"serve", "--store-dir", dir}, {"store", "check", "--store-dir", dir}} {
		p := process.Start(t, process.Options{Binary: path, Args: args, Env: []string{"HOOFBEAT_LISTEN=127.0.0.1:0", "HOOFBEAT_ADMIN=off"}})
		p.Exit(t, 2)
		if text := p.Stderr(); !strings.Contains(text, "store.dir: cannot be used: this program was built without a store (tag nostore)") {
			t.Errorf("%v says %q", args, text)
		}
	}
	s := serveWith(t, process.Options{Binary: path})
	if status, body := get(t, s.web()+"/readyz"); status != 200 {
		t.Errorf("/readyz: HTTP %d %s", status, body)
	}
}
