//go:build unix

package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// The binary has the durable subscriptions that its configuration names: what is
// published while a client is away waits for it, and an operator lists and
// deletes them.
func TestDurableOfTheBinary(t *testing.T) {
	s := serve(t, nil, "-c", write(t, "hoofbeat.yaml", `
durable:
  - {destination: /topic/orders/**, messages: 2, bytes: 1MiB, age: 1h, unused: off}
limits: {durable_per_user: 1}
`))
	env := []string{"HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=" + s.token(t)}
	sub := func(code int, name string, args ...string) (out, err string) {
		t.Helper()
		p := run(t, code, nil, append([]string{"sub", "-u", s.url, "--login", "ann", "--header", "durable:" + name}, args...)...)
		return p.Stdout(), p.Stderr()
	}
	pub := func(bodies ...string) {
		t.Helper()
		for _, body := range bodies {
			run(t, 0, nil, "pub", "-u", s.tcp, "/topic/orders/eu", body)
		}
	}
	list := func(want string) {
		t.Helper()
		brokertest.Eventually(t, "the list matches "+want, func() bool { // a client may be about to leave
			return regexp.MustCompile(want).MatchString(run(t, 0, env, "subscriptions").Stdout())
		})
	}
	list(`^USER +NAME .*\n$`)
	first := s.sub(t, nil, "-u", s.url, "--login", "ann", "--header", "durable:inbox", "/topic/orders/*", "--count", "1")
	pub("0")
	first.Exit(t, 0)
	list(`\nann +inbox +/topic/orders/\* +false +0 `)
	pub("1", "2", "3")
	list(`\nann +inbox +/topic/orders/\* +false +2 +\d+ +\d+s +1\n$`)
	if got, _ := sub(0, "inbox", "/topic/orders/*", "--count", "2"); got != "2\n3\n" {
		t.Errorf("got %q, want what was kept", got)
	}
	list(`\nann +inbox +/topic/orders/\* +false +0 +0 +0s +1\n$`)
	if _, got := sub(1, "other", "/topic/orders/eu"); !strings.Contains(got, "limits.durable_per_user is 1") {
		t.Errorf("a second one: %q", got)
	}
	if _, got := sub(1, "inbox", "/topic/news"); !strings.Contains(got, "no entry of durable[].destination covers it") {
		t.Errorf("elsewhere: %q", got)
	}
	run(t, 0, env, "subscriptions", "rm", "--user", "ann", "inbox")
	run(t, 1, env, "subscriptions", "rm", "--user", "ann", "inbox")
	list(`^USER +NAME .*\n$`)
}
