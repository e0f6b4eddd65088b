//go:build unix

package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// Through the binary: a request is answered although no rule speaks of its
// private destination, the limit is the configuration's, and the admin API can
// answer too.
func TestRequestAndReplyOfTheBinary(t *testing.T) {
	t.Parallel()
	s := serve(t, []string{"HOOFBEAT_LIMITS_REPLY_DESTINATIONS=1"}, "-c", write(t, "hoofbeat.yaml", `
auth: {anonymous: true}
rules:
  - {allow: [subscribe, send], destination: /queue/upper}
`))
	server := s.sub(t, nil, "-u", s.url, "/queue/upper", "--verbose", "--count", "1")
	asks := start(t, nil, "request", "-u", s.tcp, "/queue/upper", "hello")
	server.Exit(t, 0)
	to := regexp.MustCompile(`(?m)^reply-to: (/reply-queue/\w{32})$`).FindStringSubmatch(server.Stdout())
	if to == nil {
		t.Fatalf("sub printed %q", server.Stdout())
	}
	answer := func(body string) int {
		return s.call(t, "POST", "/api/v1/messages", `{"destination":"`+to[1]+`","body":"`+body+`"}`, nil)
	}
	if status := answer("HELLO"); status != 202 {
		t.Errorf("the answer through the admin API: HTTP %d", status)
	}
	asks.Exit(t, 0)
	if got := asks.Stdout(); got != "HELLO\n" {
		t.Errorf("printed %q", got)
	}
	brokertest.Eventually(t, "the session has gone", func() bool { return answer("late") == 404 })

	p := run(t, 1, nil, "sub", "-u", s.url, "/temp-queue/a", "/temp-queue/b")
	if got := p.Stderr(); !strings.Contains(got, "more than 1 destinations for answers (limits.reply_destinations)") {
		t.Errorf("a second destination: %q", got)
	}

	replies := start(t, nil, "reply", "-u", s.url, "/queue/upper", "--exec", "tr a-z A-Z", "--count", "2")
	for _, url := range []string{s.url, s.tcp} {
		if got := run(t, 0, nil, "request", "-u", url, "/queue/upper", "again").Stdout(); got != "AGAIN\n" {
			t.Errorf("printed %q", got)
		}
	}
	replies.Exit(t, 0)
}
