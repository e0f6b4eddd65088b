//go:build unix

package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
)

// queueLengths returns the names of the queues and their messages.
func (s *server) queueLengths(t *testing.T) map[string]int {
	t.Helper()
	var page struct {
		Items []struct {
			Name     string
			Messages int
		}
	}
	if code := s.call(t, "GET", "/api/v1/queues?limit=1000", "", &page); code != 200 {
		t.Fatalf("queues: HTTP %d", code)
	}
	all := make(map[string]int)
	for _, q := range page.Items {
		all[strings.TrimPrefix(q.Name, "/queue/")] = q.Messages
	}
	return all
}

// fillQueues makes five orders, of which the first is a dead letter.
func (s *server) fillQueues(t *testing.T) {
	t.Helper()
	pub := func(args ...string) { run(t, 0, nil, append([]string{"pub", "-u", s.tcp}, args...)...) }
	pub("--header", "ttl:1", "/queue/orders", "1")
	brokertest.Eventually(t, "the first is a dead letter", func() bool {
		return maps.Equal(s.queueLengths(t), map[string]int{"DLQ.orders": 1})
	})
	for _, body := range []string{"2", "3", "4", "5"} {
		pub("/queue/orders", body)
	}
}

// The commands and the requests of docs/queues.md do what it says, in memory and
// in a store.
func TestQueuesPage(t *testing.T) {
	for _, where := range []string{"memory", "store"} {
		t.Run(where, func(t *testing.T) { queuesPage(t, where == "store") })
	}
}

func queuesPage(t *testing.T, store bool) {
	for n, name := range [...]string{"command line", "curl"} {
		t.Run(name, func(t *testing.T) {
			var args []string
			if store {
				args = []string{"--store-dir", filepath.Join(t.TempDir(), "store")}
			}
			s := serve(t, []string{"HOOFBEAT_QUEUES_EXPIRED=dead_letter"}, args...)
			s.fillQueues(t)
			script := strings.ReplaceAll(block(t, "queues.md", "sh", n+1), "localhost:8081", strings.TrimPrefix(s.admin, "http://"))
			bin := t.TempDir()
			if err := os.Symlink(process.Binary(t), filepath.Join(bin, "hoofbeat")); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-exc", script)
			cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=" + s.token(t)}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			// The dead letter came back as the last, the oldest went to repair, and
			// the rest was removed.
			want := map[string]int{"repair": 1}
			if got := s.queueLengths(t); !maps.Equal(got, want) {
				t.Errorf("the queues are %v, want %v\n%s", got, want, out)
			}
			if e := s.Logged(t, "queue purged", 1); e["queue"] != "/queue/orders" || e["removed"] != 3.0 {
				t.Errorf("the log has %v", e)
			}
			s.Logged(t, "message removed from its queue", 1)
			s.Logged(t, "messages moved", 2)
		})
	}
}
