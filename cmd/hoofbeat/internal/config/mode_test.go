//go:build unix

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// place writes a file with exactly that mode, whatever the umask is.
func place(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

const oneUser = "- {name: ann, hash: '$2a$04$kRk7v4dRCeXU6GZdnLWfM.GkS1C/Dbg2Yba6aPYdMFj3WJVDLCuT6'}\n"

// Every file with secrets in it, and what becomes of each mode: a file that
// somebody else can write is refused, and one that everybody can read as well, but
// for the users file and the configuration, of which there is a warning.
func TestModesOfFilesWithSecrets(t *testing.T) {
	private := func(t *testing.T, mode os.FileMode) (error, bool) {
		_, err := Secret{File: place(t, "secret", "hunter2", mode)}.Read("auth.webhook.secret")
		return err, false
	}
	key := func(t *testing.T, mode os.FileMode) (error, bool) {
		cert := place(t, "cert.pem", "no certificate", 0o644)
		_, err := TLS{Cert: cert, Key: place(t, "key.pem", "hunter2", mode)}.Load()
		if err != nil && !strings.Contains(err.Error(), "mode ") {
			err = nil // it was read, and is no key
		}
		return err, false
	}
	users := func(t *testing.T, mode os.FileMode) (error, bool) {
		path := place(t, "users.yaml", oneUser, mode)
		_, err := LoadUsers(path)
		return err, err == nil && Exposed(path) != nil
	}
	file := func(text string) func(t *testing.T, mode os.FileMode) (error, bool) {
		return func(t *testing.T, mode os.FileMode) (error, bool) {
			c, err := Load(Sources{File: place(t, "hoofbeat.yaml", text, mode)})
			return err, err == nil && len(c.Warnings()) > 0
		}
	}
	for name, kind := range map[string]struct {
		try                    func(*testing.T, os.FileMode) (error, bool)
		refused, warned, taken []os.FileMode
	}{
		"a secret's own file": {private, []os.FileMode{0o666, 0o644, 0o660, 0o620, 0o604, 0o602}, nil, []os.FileMode{0o600, 0o400, 0o640, 0o440}},
		"tls.key":             {key, []os.FileMode{0o666, 0o644, 0o660, 0o604}, nil, []os.FileMode{0o600, 0o640}},
		"auth.users.file":     {users, []os.FileMode{0o666, 0o660, 0o662}, []os.FileMode{0o644, 0o604}, []os.FileMode{0o600, 0o640}},
		"a configuration with secrets": {
			file("auth: {webhook: {url: 'http://127.0.0.1:1/', secret: hunter2}}"),
			[]os.FileMode{0o666, 0o664, 0o660}, []os.FileMode{0o644}, []os.FileMode{0o600, 0o640},
		},
		"a configuration with a secret in a list": {
			file("auth: {introspection: [{url: 'http://127.0.0.1:1/', client_id: a, client_secret: hunter2}]}"),
			[]os.FileMode{0o666, 0o664}, []os.FileMode{0o644}, []os.FileMode{0o600},
		},
		"a configuration without": {file("node: one"), []os.FileMode{0o666}, nil, []os.FileMode{0o644, 0o664, 0o600}},
	} {
		check := func(modes []os.FileMode, refused, warned bool) {
			for _, mode := range modes {
				err, warning := kind.try(t, mode)
				if (err != nil) != refused || warning != warned {
					t.Errorf("%s of mode %04o: %v, warning %v", name, mode, err, warning)
				}
				if err != nil && (strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "chmod")) {
					t.Errorf("%s of mode %04o: %v", name, mode, err)
				}
			}
		}
		check(kind.refused, true, false)
		check(kind.warned, false, true)
		check(kind.taken, false, false)
	}
}
