//go:build unix

package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

const command = "github.com/hoofbeat/hoofbeat/cmd/hoofbeat"

// built is the binary built by this test run.
var built struct {
	sync.Mutex
	dir, path string
	err       error
	main      bool
}

// Main is for TestMain. It runs the tests, removes the binary that they built,
// and returns the exit code.
func Main(m *testing.M) int {
	built.Lock()
	built.main = true
	built.Unlock()
	code := m.Run()
	if built.dir != "" {
		if err := os.RemoveAll(built.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return max(code, 1)
		}
	}
	return code
}

// Binary returns the path of a hoofbeat binary built from the current sources.
// The first call builds it, without the race detector. The package's TestMain
// must call [Main].
func Binary(t testing.TB) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if !built.main {
		t.Fatal("TestMain must call process.Main, which removes the binary")
	}
	if built.dir == "" {
		build()
	}
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

func build() {
	if built.dir, built.err = os.MkdirTemp("", "hoofbeat"); built.err != nil {
		return
	}
	built.path = filepath.Join(built.dir, "hoofbeat")
	if out, err := exec.Command("go", "build", "-o", built.path, command).CombinedOutput(); err != nil {
		built.err = fmt.Errorf("go build: %w\n%s", err, out)
	}
}
