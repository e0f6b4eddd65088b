//go:build unix

package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// waitReceipt waits for a receipt, within a minute.
func waitReceipt(t *testing.T, r *client.Receipt) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return r.Wait(ctx)
}

// sub says when it is subscribed: what is published then arrives. A denied
// subscription is an error that names the destination, and nothing else.
func TestSubSaysThatItIsSubscribed(t *testing.T) {
	s := serve(t, nil, "-c", write(t, "hoofbeat.yaml", `
auth: {anonymous: true}
rules:
  - {deny: [subscribe], destination: /topic/secret}
  - {allow: [subscribe, send], destination: /topic/**}
`))
	for _, url := range []string{s.url, s.tcp} {
		p := s.sub(t, nil, "-u", url, "/topic/greetings", "--count", "1")
		run(t, 0, nil, "pub", "-u", url, "/topic/greetings", "hello")
		p.Exit(t, 0)
		if p.Stdout() != "hello\n" || p.Stderr() != "subscribed to /topic/greetings\n" {
			t.Errorf("printed %q, and on stderr %q", p.Stdout(), p.Stderr())
		}
	}
	p := run(t, 3, nil, "sub", "-u", s.url, "/topic/secret")
	if got := p.Stderr(); strings.Contains(got, "subscribed") || !strings.Contains(got, `not allowed to subscribe to "/topic/secret"`) {
		t.Errorf("a denied subscription: %q", got)
	}
}
