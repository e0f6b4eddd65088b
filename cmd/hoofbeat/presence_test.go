//go:build unix

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// The binary says who is in a room: to clients that list and watch it, and to
// the admin API.
func TestPresenceOfTheBinary(t *testing.T) {
	t.Parallel()
	s := serve(t, []string{"HOOFBEAT_PRESENCE=/topic/room/**"})
	watch := s.sub(t, nil, "-u", s.url, "/topic/presence/topic/room/7")
	s.sub(t, nil, "-u", s.tcp, "/topic/room/7")
	ann := s.sub(t, nil, "-u", s.url, "--login", "ann", "/topic/room/7")
	printed := func(what, text string) {
		t.Helper()
		brokertest.Eventually(t, what, func() bool { return strings.Contains(watch.Stdout(), text) })
	}
	printed("ann joins", `"joined":[{"user":"ann"`)

	var list struct {
		Total, Anonymous int
		Items            []struct {
			User     string
			Sessions int
			Since    time.Time
		}
	}
	if status := s.call(t, http.MethodGet, "/api/v1/presence?destination=/topic/room/7", "", &list); status != http.StatusOK {
		t.Fatalf("the admin API answered %d", status)
	}
	if list.Total != 1 || list.Anonymous != 1 || list.Items[0].User != "ann" || list.Items[0].Sessions != 1 || time.Since(list.Items[0].Since).Abs() > time.Hour {
		t.Errorf("the list is %+v", list)
	}
	p := run(t, 0, nil, "sub", "-u", s.url, "--count", "1", "/app/presence/topic/room/7")
	if got := p.Stdout(); !strings.Contains(got, `"user":"ann","sessions":1`) || !strings.Contains(got, `"anonymous":1`) {
		t.Errorf("the answer is %s", got)
	}
	ann.Kill(t)
	printed("ann leaves", `"left":["ann"]`)

	p = run(t, 3, nil, "pub", "-u", s.url, "/topic/presence/topic/room/7", "{}")
	if !strings.Contains(p.Stderr(), "not allowed to send a message") {
		t.Errorf("a forged event: %q", p.Stderr())
	}
	if status := s.call(t, http.MethodPost, "/api/v1/messages", `{"destination":"/topic/presence/topic/room/7","body":"{}"}`, nil); status != http.StatusBadRequest {
		t.Errorf("a forged event of the admin API: %d", status)
	}
}

// Outside of development mode presence needs a rule that names it; a check of
// the configuration says so.
func TestPresenceOfTheBinaryNeedsItsRule(t *testing.T) {
	t.Parallel()
	const text = `
auth: {anonymous: true}
websocket: {hosts: [localhost]}
presence: [/topic/room/**]
rules:
  - {allow: [subscribe], destination: /topic/**}
`
	const warning = "presence: nobody can list or watch it, because no rule allows subscribe for a destination that begins with /app/presence/ or /topic/presence/"
	for _, rule := range []string{"", "  - {allow: [subscribe], destination: /app/presence/topic/room/*}\n  - {allow: [subscribe], destination: /topic/presence/topic/room/*}\n"} {
		file := write(t, "hoofbeat.yaml", text+rule)
		p := run(t, 0, nil, "config", "check", "-c", file)
		if got := strings.Contains(p.Stdout()+p.Stderr(), warning); got != (rule == "") {
			t.Errorf("with %q the check says %s%s", rule, p.Stdout(), p.Stderr())
		}
		s := serve(t, nil, "-c", file)
		for _, destination := range []string{"/app/presence/topic/room/7", "/topic/presence/topic/room/7"} {
			if rule != "" {
				s.sub(t, nil, "-u", s.url, destination)
				continue
			}
			p := run(t, 3, nil, "sub", "-u", s.url, destination)
			if want := fmt.Sprintf("not allowed to subscribe to %q: it needs a rule for ", destination); !strings.Contains(p.Stderr(), want) {
				t.Errorf("%q, want %q", p.Stderr(), want)
			}
		}
	}
}
