//go:build unix

package main

import (
	"strings"
	"testing"
)

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
