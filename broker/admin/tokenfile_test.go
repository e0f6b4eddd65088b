package admin

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadOrCreateToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	first, created, err := LoadOrCreateToken(path)
	if err != nil || !created {
		t.Fatal(created, err)
	}
	if raw, err := base64.RawURLEncoding.DecodeString(first); err != nil || len(raw) != 32 {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	again, created, err := LoadOrCreateToken(path)
	if err != nil || created || again != first {
		t.Errorf("the second start has another token: %v %v", created, err)
	}
	other, _, err := LoadOrCreateToken(filepath.Join(t.TempDir(), "token"))
	if err != nil || other == first {
		t.Errorf("two files have the same token: %v", err)
	}
}

func TestLoadToken(t *testing.T) {
	const secret = "0123456789abcdef"
	write := func(content string, mode os.FileMode) string {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, content := range []string{secret, secret + "\n", secret + "\r\n", secret + "\n# of the staging broker\n"} {
		for _, mode := range []os.FileMode{0o600, 0o400} {
			if got, created, err := LoadOrCreateToken(write(content, mode)); got != secret || created || err != nil {
				t.Errorf("%q: %q %v %v", content, got, created, err)
			}
		}
	}
	if got, _, err := LoadOrCreateToken(write(strings.Repeat("x", maxToken)+"\r\n", 0o600)); err != nil || len(got) != maxToken {
		t.Errorf("the longest token: %d, %v", len(got), err)
	}
	for _, x := range []struct {
		path, want string
	}{
		{write(secret, 0o640), "mode 0640"},
		{write(secret, 0o604), "mode 0604"},
		{write(secret, 0o620), "mode 0620"},
		{write("", 0o600), "empty"},
		{write("\n"+secret, 0o600), "empty"},
		{write("short-secret", 0o600), "shorter than 16"},
		{write(secret+" "+secret, 0o600), "visible ASCII"},
		{write(strings.Repeat("x", maxToken+1), 0o600), "longer than 4096"},
		{write(strings.Repeat("x", 2*maxToken), 0o600), "longer than 4096"},
		{t.TempDir(), "not an ordinary file"},
		{filepath.Join(t.TempDir(), "no", "directory"), "no such file"},
		{write(secret, 0o600) + "/below", "not a directory"},
	} {
		got, created, err := LoadOrCreateToken(x.path)
		if got != "" || created || err == nil || !strings.Contains(err.Error(), x.want) || strings.Count(err.Error(), x.path) != 1 {
			t.Errorf("%s: %q %v %v, want %q", x.path, got, created, err, x.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error repeats the token: %v", err)
		}
	}
}

// A dangling link is not written through: its creator would choose where the
// token goes.
func TestTokenIsNotWrittenThroughALink(t *testing.T) {
	dir := t.TempDir()
	path, target := filepath.Join(dir, "token"), filepath.Join(dir, "elsewhere")
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	if _, created, err := LoadOrCreateToken(path); err == nil || created {
		t.Error("a token was created")
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("the link was followed")
	}
}
