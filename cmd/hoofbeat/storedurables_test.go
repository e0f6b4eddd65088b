//go:build unix

package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
)

// With --store-dir durable subscriptions and what waits for them outlive SIGTERM
// and kill -9, and are listed as before. So does their deletion, and what they are
// to cannot change.
func TestDurableOfTheBinaryIsKept(t *testing.T) {
	s := serveWith(t, process.Options{Restartable: true, Args: []string{
		"--store-dir", filepath.Join(t.TempDir(), "store"),
		"-c", write(t, "hoofbeat.yaml", "durable: [{destination: /topic/orders/**, messages: 2, unused: off}]\nselectors: true\n"),
	}})
	again := func() {
		t.Helper()
		next := s.Restart(t)
		s = &server{next, next.URL, next.Admin, next.TCP}
	}
	env := func() []string {
		return []string{"HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=" + s.token(t)}
	}
	list := func() string {
		t.Helper()
		// the column with the age of the oldest message changes
		var lines []string
		for line := range strings.SplitSeq(strings.TrimSpace(run(t, 0, env(), "subscriptions").Stdout()), "\n") {
			f := strings.Fields(line)
			if len(f) > 6 {
				f = append(f[:6], f[7:]...)
			}
			lines = append(lines, strings.Join(f, " "))
		}
		return strings.Join(lines, "\n")
	}
	sub := func(code int, user, name string, args ...string) *process.Process {
		t.Helper()
		return run(t, code, nil, append([]string{"sub", "-u", s.url, "--login", user, "--ack", "client", "--header", "durable:" + name}, args...)...)
	}
	pub := func(bodies ...string) {
		t.Helper()
		for _, body := range bodies {
			run(t, 0, nil, "pub", "-u", s.tcp, "/topic/orders/eu", body, "--header", "k:v")
		}
	}
	want := func(what, want string) {
		t.Helper()
		brokertest.Eventually(t, what, func() bool { return strings.Contains(list(), want) }) // a client may be about to leave
	}
	const selector = "selector:headers.k == 'v'"
	for _, c := range [][]string{{"ann", "inbox", "--header", selector}, {"ann", "gone"}, {"bob", "inbox"}} {
		first := s.sub(t, nil, append([]string{"-u", s.url, "--login", c[0], "--ack", "client", "--header", "durable:" + c[1], "/topic/orders/eu", "--count", "1"}, c[2:]...)...)
		pub("0")
		first.Exit(t, 0)
	}
	run(t, 0, env(), "subscriptions", "rm", "--user", "ann", "gone")
	pub("1", "2", "3")
	want("ann's messages", "ann inbox /topic/orders/eu false 2 ")
	want("bob's messages", "bob inbox /topic/orders/eu false 2 ")
	before := list()
	s.Kill(t)
	again()
	if after := list(); after != before {
		t.Errorf("after kill -9:\n%s\nbefore:\n%s", after, before)
	}
	s.Signal(t, syscall.SIGTERM)
	s.Exit(t, 0)
	again()
	if after := list(); after != before {
		t.Errorf("after SIGTERM:\n%s\nbefore:\n%s", after, before)
	}
	if got := sub(1, "ann", "inbox", "/topic/orders/eu").Stderr(); !strings.Contains(got, "which cannot change") {
		t.Errorf("without its selector: %q", got)
	}
	got := sub(0, "ann", "inbox", "/topic/orders/eu", "--count", "2", "--header", selector).Stdout()
	if got != "2\n3\n" {
		t.Errorf("got %q", got)
	}
	s.Kill(t)
	again()
	pub("4")
	got = sub(0, "ann", "inbox", "/topic/orders/eu", "--count", "1", "--header", selector).Stdout()
	if got != "4\n" {
		t.Errorf("what was acknowledged comes again: %q", got)
	}
}
