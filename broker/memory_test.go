//go:build !race

package broker_test

import (
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// A client that has connected, subscribed and gone quiet waits on a stack as
// small as they come, and still does after more heart-beats. The race detector
// needs a larger one.
func TestMemoryOfAnIdleStack(t *testing.T) {
	// The runtime gives new goroutines what the others needed on average, and
	// other tests need a lot: this one has a process of its own.
	const fresh = "HOOFBEAT_TEST_FRESH_PROCESS"
	if os.Getenv(fresh) == "" {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.timeout=1m")
		c.Env = append(os.Environ(), fresh+"=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	const n = 300
	srv := brokertest.Start(t, broker.Options{Limits: broker.Limits{UnauthenticatedPerAddress: n}})
	stacks := func() int64 {
		runtime.GC() // frees those of the goroutines that are gone
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.StackInuse)
	}
	before := stacks()
	for _, ws := range []bool{true, false} {
		peers := make([]*peer, n)
		for i := range peers {
			peers[i] = rawDial(t, srv, ws)
			peers[i].connect(t, "heart-beat", "10000,10000")
			peers[i].send(t, "SUBSCRIBE", "", "id", "1", "destination", "/topic/news")
		}
		brokertest.Eventually(t, "all are subscribed", func() bool { return srv.Broker.Stats().Subscriptions == n })
		for range 3 {
			in := srv.Broker.Stats().BytesIn
			for _, p := range peers {
				p.octets(t, []byte("\n"))
			}
			brokertest.Eventually(t, "all were heard", func() bool { return srv.Broker.Stats().BytesIn >= in+n })
		}
		brokertest.Eventually(t, "the stacks are small", func() bool { return (stacks()-before)/n < 3<<10 })
		for _, p := range peers {
			_ = p.Close()
		}
		brokertest.Eventually(t, "all are gone", func() bool { return srv.Broker.Stats().Sessions == 0 })
	}
}
