// Package configtest helps tests that need a configuration.
package configtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// Load returns the configuration of a file with this text.
func Load(t testing.TB, yaml string) *config.Config {
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
