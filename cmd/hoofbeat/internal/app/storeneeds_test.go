//go:build !nostore

package app

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config/configtest"
)

// What `config check` counts is what the engine reserves: a configuration that
// is good opens, and each limit in it can be reached.
func TestStoreNeedsAreWhatIsReserved(t *testing.T) {
	for name, more := range map[string]string{
		"queues":    "",
		"histories": "history:\n  - {destination: /topic/a, bytes: 1MiB}\n  - {destination: /topic/b, bytes: 3MiB}\n",
		"durable":   "durable:\n  - {destination: /topic/c}\n",
	} {
		t.Run(name, func(t *testing.T) {
			// The queues take more than half of the disk.
			text := fmt.Sprintf("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nstore: {dir: %q, disk: 512MiB, reserve: 4MiB}\nqueues: {bytes: 1MiB, bytes_per_user: 1MiB, total_bytes: 64MiB, delayed_bytes: 16MiB, delayed_bytes_per_user: 1MiB}\n", filepath.Join(t.TempDir(), "store"))
			c := configtest.Load(t, text+more)
			a, err := New(Options{Config: c, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			defer a.closeStore()
			defer a.close()
			var needs, reserved int64
			for _, n := range c.StoreNeeds() {
				needs += int64(n.Bytes)
			}
			for _, s := range a.storeStats().ByStream {
				if s.Limit < 0 {
					t.Errorf("%s has no limit", s.Name)
				}
				reserved += s.Limit
			}
			if needs != reserved {
				t.Errorf("config check counts %d bytes, the engine reserves %d: %+v", needs, reserved, a.storeStats().ByStream)
			}
		})
	}
}
