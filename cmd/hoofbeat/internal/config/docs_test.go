package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/app"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// TestDocumentsYAML: every block of YAML in the documents is a configuration
// that serve accepts, or a users file.
func TestDocumentsYAML(t *testing.T) {
	paths, err := filepath.Glob("../../../../docs/*.md")
	if err != nil || len(paths) == 0 {
		t.Fatal("no documents", err)
	}
	paths = append(paths, "../../../../README.md")
	texts := make(map[string]string)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(path)] = string(text)
	}
	for document, text := range texts {
		// The files that the configurations name, which lie beside them.
		dir := t.TempDir()
		t.Chdir(dir)
		secret := strings.Repeat("5", 64)
		for name, content := range map[string]string{
			"users.yaml": "[]", "webhook.secret": secret, "oauth.secret": secret, "tickets.secret": secret, "introspection.secret": secret, "tokens.key": secret, "handlers.secret": secret,
		} {
			if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range regexp.MustCompile("(?sm)^```ya?ml\n(.*?)^```").FindAllStringSubmatch(text, -1) {
			name := filepath.Join(dir, "hoofbeat.yaml")
			if err := os.WriteFile(name, []byte(m[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(m[1], "- name:") {
				if users, err := config.LoadUsers(name); err != nil || len(users) == 0 {
					t.Errorf("%s: %v in\n%s", document, err, m[1])
				}
				continue
			}
			c, err := config.Load(config.Sources{File: name})
			if err == nil {
				err = app.Check(c)
			}
			if err != nil {
				t.Errorf("%s: %v in\n%s", document, err, m[1])
			}
		}
	}
}
