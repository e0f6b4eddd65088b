package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

func TestPasswd(t *testing.T) {
	entry := run(t, exitOK, "correct horse: battery\n", "passwd", "ann: the #1", "--role", "admin", "--role", "7").out.String()
	path := filepath.Join(t.TempDir(), "users.yaml")
	second := run(t, exitOK, "x", "passwd", "bob").out.String() // entries can be appended to one file
	if err := os.WriteFile(path, []byte(entry+second), 0o600); err != nil {
		t.Fatal(err)
	}
	users, err := config.LoadUsers(path)
	if err != nil {
		t.Fatalf("%v\n%s%s", err, entry, second)
	}
	if len(users) != 2 || users[0].Name != "ann: the #1" || strings.Join(users[0].Roles, ",") != "admin,7" || users[1].Name != "bob" || len(users[1].Roles) != 0 {
		t.Errorf("users %+v", users)
	}
	if err := bcrypt.CompareHashAndPassword([]byte(users[0].Hash), []byte("correct horse: battery")); err != nil {
		t.Error(err)
	}
	hash := strings.TrimSpace(run(t, exitOK, "x\r\n", "passwd").out.String())
	if err := bcrypt.CompareHashAndPassword([]byte(hash), []byte("x")); err != nil {
		t.Errorf("hash alone %q: %v", hash, err)
	}
}

func TestPasswdErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "the passcode is empty",
		"\n":                    "the passcode is empty",
		strings.Repeat("x", 73): "the passcode has 73 bytes, bcrypt takes 72",
		"a\x00b":                "has a line end or NUL",
	} {
		contains(t, "passwd", run(t, exitFailure, in, "passwd").err.String(), want)
	}
}

func TestConfigCommands(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "hoofbeat.yaml")
	text := run(t, exitOK, "", "config", "default").out.String()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	contains(t, "check", run(t, exitOK, "", "config", "check", "-c", file).out.String(), file+": good (development mode")
	contains(t, "check", run(t, exitOK, "", "config", "check").out.String(), "configuration: good")
	contains(t, "check", run(t, exitOK, "", "config", "check", "--listen", ":8080", "--auth-anonymous").out.String(), "good\n")
	contains(t, "check", run(t, exitUsage, "", "config", "check", "-c", file, "--listen", ":8080").err.String(),
		"hoofbeat: command line: listen: :8080 can be reached from other machines and nobody would be authenticated")
	contains(t, "check", run(t, exitUsage, "", "config", "check", "--auth-users-file", filepath.Join(dir, "none")).err.String(), "auth.users.file: ")
	if got, want := run(t, exitOK, "", "config", "check", "--compatibility", "spring", "--sockjs-cookie", "").out.String(),
		"can connect as anyone)\nsockjs_cookie: \"\"\nselectors: true\ncompatibility: spring\nqueues.mode: broadcast\n"; !strings.HasSuffix(got, want) {
		t.Errorf("check prints %q, want %q", got, want)
	}
	contains(t, "docs", run(t, exitOK, "", "config", "docs").out.String(), "| `limits.frame` | `64KiB` |")
	contains(t, "env", run(t, exitOK, "", "config", "env").out.String(), "\n#HOOFBEAT_LIMITS_FRAME=64KiB\n")

	// Each mistake has its line.
	got := start(t, nil, []string{"HOOFBEAT_LISTENN=x"}, "config", "check", "--config", file, "--limits-frame", "1KiB").wait(t, exitUsage).err.String()
	if want := "hoofbeat: environment: HOOFBEAT_LISTENN: there is no such variable, did you mean HOOFBEAT_LISTEN?\n"; got != want {
		t.Errorf("errors %q, want %q", got, want)
	}
}
