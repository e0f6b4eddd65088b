//go:build unix

package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
)

// keptHistory is a line of `hoofbeat history ls --json`.
type keptHistory struct {
	Destination string
	Messages    int
	Epoch       string
}

// histories returns what the admin API lists, by destination.
func (s *server) histories(t *testing.T) map[string]keptHistory {
	t.Helper()
	var page struct{ Items []keptHistory }
	if status := s.call(t, "GET", "/api/v1/history", "", &page); status != 200 {
		t.Fatalf("the admin API answered %d", status)
	}
	all := make(map[string]keptHistory)
	for _, h := range page.Items {
		all[h.Destination] = h
	}
	return all
}

// A history is removed by the command. After kill -9 nothing of it comes back,
// and the epoch is the new one: who comes back with an older offset is told. If
// the kill comes in the middle, either all is as it was, or all is removed.
func TestHistoryIsRemovedFromTheBinary(t *testing.T) {
	const text = `
auth: {anonymous: true}
rules:
  - {allow: [subscribe, send], destination: /topic/**}
history:
  - {destination: /topic/chat/*, messages: 3}
`
	const a, b = "/topic/chat/a", "/topic/chat/b"
	publish := func(t *testing.T, s *server) {
		t.Helper()
		for i := range 3 {
			for _, destination := range []string{a, b} {
				if status := s.call(t, "POST", "/api/v1/messages", fmt.Sprintf(`{"destination":%q,"body":"%d"}`, destination, i), nil); status/100 != 2 {
					t.Fatalf("the admin API answered %d", status)
				}
			}
		}
	}
	// removed checks that only b is there, and what a client with an old offset of
	// b is told.
	removed := func(t *testing.T, s *server, old string) string {
		t.Helper()
		now := s.histories(t)
		if len(now) != 1 || now[b].Messages != 3 || now[b].Epoch == old {
			t.Fatalf("listed: %+v, the old epoch is %s", now, old)
		}
		for offset, want := range map[string]string{old + ":6": "recovered: false", now[b].Epoch + ":4": "recovered: true"} {
			p := run(t, 0, nil, "sub", "-u", s.url, b, "--offset", offset, "--count", "1", "--verbose")
			if !strings.Contains(p.Stdout(), want) || !strings.Contains(p.Stdout(), "offset: "+now[b].Epoch+":") {
				t.Errorf("from %s: %s\n%s", offset, p.Stdout(), p.Stderr())
			}
		}
		return now[b].Epoch
	}
	remove := func(t *testing.T, s *server) {
		t.Helper()
		env := []string{"HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=" + s.token(t)}
		if p := run(t, 0, env, "history", "rm", "--yes", a); p.Stdout() != "3 removed\n" {
			t.Errorf("rm printed %q", p.Stdout())
		}
		if p := run(t, 1, env, "history", "rm", "--yes", a); !strings.Contains(p.Stderr(), "no history of this destination: it has no messages") {
			t.Errorf("rm of what is not there: %s", p.Stderr())
		}
		if got := s.Logged(t, "history removed", 1); got["destination"] != a || got["removed"] != 3.0 {
			t.Errorf("logged: %v", got)
		}
	}
	args := []string{"-c", write(t, "hoofbeat.yaml", text)}
	t.Run("memory", func(t *testing.T) {
		s := serveWith(t, process.Options{Args: args})
		publish(t, s)
		old := s.histories(t)[a].Epoch
		remove(t, s)
		removed(t, s, old)
	})
	t.Run("store", func(t *testing.T) {
		s := serveWith(t, process.Options{Restartable: true, Args: append(args, "--store-dir", filepath.Join(t.TempDir(), "store"))})
		again := func() {
			t.Helper()
			s.Kill(t)
			s = &server{s.Restart(t), s.url, s.admin, s.tcp}
		}
		publish(t, s)
		old := s.histories(t)[a].Epoch
		remove(t, s)
		epoch := removed(t, s, old)
		again()
		if now := removed(t, s, old); now != epoch {
			t.Errorf("the epoch is %s after kill -9, was %s", now, epoch)
		}
		whole, gone := 0, 0
		for range 6 {
			publish(t, s)
			before := s.histories(t)[a]
			client := start(t, []string{"HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=" + s.token(t)}, "history", "rm", "--yes", a)
			pause(t.Context(), rand.N(40*time.Millisecond)) // a random moment
			again()
			<-client.Done()
			answered := strings.Contains(client.Stdout(), "removed")
			now := s.histories(t)
			switch kept := now[a]; {
			case kept == before && now[b].Epoch == before.Epoch && !answered:
				whole++
			case kept.Messages == 0 && now[b].Epoch != before.Epoch:
				gone++
			default:
				t.Errorf("after a kill in the middle %+v, a was %+v; rm said %q", now, before, client.Stdout())
			}
		}
		t.Logf("killed in the middle: %d times nothing was removed, %d times all", whole, gone)
	})
}
