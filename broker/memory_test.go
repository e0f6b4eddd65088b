//go:build !race

package broker_test

import (
	"runtime"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// A client that has connected, subscribed and gone quiet waits on a stack as
// small as they come, and still does after more heart-beats. The race detector
// needs a larger one.
func TestMemoryOfAnIdleStack(t *testing.T) {
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
