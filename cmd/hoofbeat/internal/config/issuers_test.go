package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Two entries of one issuer are an error with the key and the line.
func TestTwoEntriesOfOneIssuer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hoofbeat.yaml")
	text := "auth:\n  jwt:\n    - {issuer: \"https://a.example.com\", audience: x}\n    - {issuer: \"https://a.example.com\", audience: y}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Sources{File: path})
	if err == nil || !strings.HasPrefix(err.Error(), "hoofbeat.yaml:4: auth.jwt[1].issuer: https://a.example.com is the issuer of auth.jwt[0] too") {
		t.Errorf("error %v", err)
	}
}
