//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
)

// The binary keeps the history that its configuration names, also what the
// admin API publishes. A reload changes the limits and keeps what is within
// them, and says which change needs a restart.
func TestHistoryOfTheBinary(t *testing.T) {
	const text = `
auth: {anonymous: true}
rules:
  - {allow: [subscribe, send], destination: /topic/**}
history:
  - {destination: /topic/prices/**, messages: 1}
  - {destination: /topic/chat/*, age: 1h, bytes: 1MiB}
`
	file := write(t, "hoofbeat.yaml", text)
	s := serve(t, nil, "-c", file)
	for _, body := range []string{"1", "2", "3"} {
		run(t, 0, nil, "pub", "-u", s.url, "/topic/prices/eu", body)
		run(t, 0, nil, "pub", "-u", s.tcp, "/topic/chat/lobby", body)
	}
	if status := s.call(t, "POST", "/api/v1/messages", `{"destination":"/topic/chat/lobby","body":"4"}`, nil); status/100 != 2 {
		t.Errorf("the admin API answered %d", status)
	}
	for _, c := range []struct{ destination, offset, count, want string }{
		{"/topic/prices/*", "first", "1", "3\n"},
		{"/topic/chat/lobby", "first", "4", "1\n2\n3\n4\n"},
		{"/topic/chat/lobby", "-2", "2", "3\n4\n"},
	} {
		p := run(t, 0, nil, "sub", "-u", s.url, c.destination, "--offset", c.offset, "--count", c.count)
		if p.Stdout() != c.want {
			t.Errorf("%s from %s: printed %q, want %q", c.destination, c.offset, p.Stdout(), c.want)
		}
	}
	p := run(t, 1, nil, "sub", "-u", s.url, "/topic/chat/lobby", "--offset", "yesterday")
	if !strings.Contains(p.Stderr(), "offset header: ") {
		t.Errorf("a bad offset: %q", p.Stderr())
	}
	reload := func(record, attribute, want string, changes ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.NewReplacer(changes...).Replace(text)), 0o600); err != nil {
			t.Fatal(err)
		}
		s.Signal(t, syscall.SIGHUP)
		if got := s.Logged(t, record, 1)[attribute]; got != want {
			t.Errorf("%s: %s %v, want %s", record, attribute, got, want)
		}
	}
	kept := func(destination, want string) {
		t.Helper()
		p := run(t, 0, nil, "sub", "-u", s.url, destination, "--offset", "first", "--count", strconv.Itoa(strings.Count(want, "\n")))
		if p.Stdout() != want {
			t.Errorf("%s: printed %q, want %q", destination, p.Stdout(), want)
		}
	}
	reload("reloaded", "changed", "history", "messages: 1}", "messages: 2}", "age: 1h,", "age: 1h, messages: 3,")
	run(t, 0, nil, "pub", "-u", s.url, "/topic/prices/eu", "4")
	kept("/topic/prices/eu", "3\n4\n")
	kept("/topic/chat/lobby", "2\n3\n4\n")
	reload("reload: some changes need a restart", "keys", "history history_bytes", "/topic/prices/**", "/topic/rates/**", "age: 1h,", "age: 1h, messages: 1,",
		"\nhistory:", "\nhistory_bytes: 128MiB\nhistory:")
	kept("/topic/chat/lobby", "2\n3\n4\n")
}

// The commands of docs/history.md print what it says: in memory, and in a store
// again after kill -9.
func TestHistoryPage(t *testing.T) {
	bin := t.TempDir()
	if err := os.Symlink(process.Binary(t), filepath.Join(bin, "hoofbeat")); err != nil {
		t.Fatal(err)
	}
	conf := write(t, "hoofbeat.yaml", block(t, "history.md", "yaml", 1))
	publish, read := block(t, "history.md", "sh", 1), block(t, "history.md", "sh", 2)
	const want = "102\nis anybody here?\nhello\nis anybody here?\n"
	output := func(t *testing.T, s *server, script string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
		cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "HOOFBEAT_URL=" + s.url, "HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=" + s.token(t)}
		var complaints process.Output
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%v: printed %q\n%s", err, out, complaints.String())
		}
		return string(out)
	}
	wants := func(t *testing.T, s *server, script string) {
		t.Helper()
		if out := output(t, s, script); out != want {
			t.Errorf("printed %q, want %q", out, want)
		}
	}
	prints := func(t *testing.T, s *server, script string, parts ...string) {
		t.Helper()
		out := output(t, s, script)
		for _, part := range parts {
			if !strings.Contains(out, part) {
				t.Errorf("printed %q, want %q", out, part)
			}
		}
	}
	t.Run("memory", func(t *testing.T) {
		wants(t, serve(t, nil, "-c", conf), publish+read)
	})
	t.Run("store", func(t *testing.T) {
		s := serveWith(t, process.Options{Restartable: true, Args: []string{"-c", conf, "--store-dir", filepath.Join(t.TempDir(), "store")}})
		wants(t, s, publish+read)
		s.Kill(t)
		s = &server{s.Restart(t), s.url, s.admin, s.tcp}
		wants(t, s, read)
		prints(t, s, block(t, "history.md", "sh", 3), "/topic/chat/lobby  2 ", "\n2 removed\n")
	})
}
