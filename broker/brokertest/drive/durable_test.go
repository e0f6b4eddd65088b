//go:build unix

package drive_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/checker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/drive"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
)

// The broker keeps durable subscriptions in a store, and is killed with -9 and
// restarted several times while publishers publish and the clients of the
// subscriptions come and go. Nothing that has its receipt is lost, nothing that
// was acknowledged with a receipt comes again, and what comes again says so.
func TestDurableSubscriptionsOfABrokerThatIsKilled(t *testing.T) {
	s := broker(t, process.Options{Restartable: true, Args: []string{"--store-dir", filepath.Join(t.TempDir(), "store")}})
	plan := drive.Plan{
		URL: drive.At(s.URL), Name: "kept", Queues: 1, Durables: 3, Visit: 150,
		Publishers: 2, Consumers: 1, Sends: sends(900), TransactionEvery: 20, Quiet: 20 * time.Second,
	}
	underWay(t, plan, func(c *checker.Checker) {
		for range 3 {
			s.Kill(t)
			s = s.Restart(t)
			n := c.Counts().Messages
			for end := time.Now().Add(20 * time.Second); c.Counts().Messages < n+300 && time.Now().Before(end); {
				time.Sleep(time.Millisecond) // clients come back and go on
			}
		}
	})
}
