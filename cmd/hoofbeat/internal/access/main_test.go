package access

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func load(t *testing.T, yaml string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hoofbeat.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Sources{File: path})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
