package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// The help of the commands that take the configuration fits a screen of 80
// columns and shows ten settings of some ninety.
func TestHelpOfSettings(t *testing.T) {
	for _, args := range [][]string{{"serve", "--help"}, {"config", "check", "--help"}} {
		text := run(t, exitOK, "", args...).out.String()
		contains(t, args[0], text, "\nAll of them, with their defaults: hoofbeat config docs\n")
		contains(t, args[0], text, "--auth-users-file file ")
		before, rest, _ := strings.Cut(text, "\nExamples:\n")
		_, flags, _ := strings.Cut(rest, "\n\nFlags:\n")
		_, settings, _ := strings.Cut(rest, "\n\nThe usual settings:\n")
		if n := strings.Count(settings, "  --"); n != 10 {
			t.Errorf("%v shows %d settings, want 10:\n%s", args, n, settings)
		}
		for line := range strings.Lines(before + flags) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
				t.Errorf("%v: a line of %d columns: %s", args, n, line)
			}
		}
		if strings.Contains(text, "`") {
			t.Errorf("%v has a back quote", args)
		}
	}
}

// What --help does not show is taken.
func TestHiddenSettingsAreTaken(t *testing.T) {
	text := run(t, exitOK, "", "config", "check", "--limits-headers", "7").out.String()
	contains(t, "config check", text, "7")
	run(t, exitUsage, "", "config", "check", "--queues-transient", "nonsense")
}

// A configuration that serve does not start with is exit code 2 of both, so that
// a service manager knows it from a failure that passes.
func TestWrongConfigurationIsExitCode2(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hoofbeat.yaml")
	for name, text := range map[string]string{
		"unknown key": "nonsense: 1\n", "wrong value": "limits: {frame: much}\n", "missing file": "auth: {users: {file: none.yaml}}\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"config", "check", "-c", file}, {"serve", "-c", file}} {
			if errs := run(t, exitUsage, "", args...).err.String(); !strings.HasPrefix(errs, "hoofbeat: ") || strings.Contains(errs, "--help") {
				t.Errorf("%s: %v says %q", name, args, errs)
			}
		}
	}
}

// The help of every command fits a terminal of 100 columns.
func TestEveryHelpFitsATerminal(t *testing.T) {
	var visit func(*cobra.Command)
	visited := 0
	visit = func(cmd *cobra.Command) {
		visited++
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		for line := range strings.Lines(run(t, exitOK, "", args...).out.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 100 {
				t.Errorf("%v: a line of %d columns: %s", args, n, line)
			}
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(new(Program).root())
	if visited < 20 {
		t.Errorf("%d commands were visited", visited)
	}
}
