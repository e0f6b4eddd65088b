//go:build unix

package drive_test

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/checker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/drive"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
)

// the broker keeps its queues in a store, and is killed with -9
// and restarted at random moments while clients are at work: three times, or 50
// times with HOOFBEAT_FAULTS=long. It starts each time. Nothing that has its
// receipt is lost, nothing that was acknowledged with a receipt comes again, and
// what comes again says so.
func TestX12X16X37KilledWithAStore(t *testing.T) {
	kills := 3
	if drive.Long() {
		kills = 50
	}
	s := broker(t, process.Options{Restartable: true, Args: []string{"--store-dir", filepath.Join(t.TempDir(), "store")}})
	plan := drive.Plan{
		URL: drive.At(s.URL), Name: "kept", Queues: 2,
		Publishers: 2, Consumers: 3, Sends: sends(1500), TransactionEvery: 20, Quiet: 20 * time.Second,
	}
	underWay(t, plan, func(c *checker.Checker) {
		for range kills {
			// In the middle of whatever it is doing.
			time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
			s.Kill(t)
			s = s.Restart(t)
			n := c.Counts().Messages
			for end := time.Now().Add(20 * time.Second); c.Counts().Messages < n+300 && time.Now().Before(end); {
				time.Sleep(time.Millisecond) // clients come back and go on
			}
		}
	})
}
