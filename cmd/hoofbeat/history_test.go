//go:build unix

package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
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
