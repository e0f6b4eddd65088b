package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/gobwas/ws"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

// listeners connects WebSockets, compressed or not, that have /topic/news.
func listeners(t testing.TB, srv *brokertest.Server, n int, compressed bool, id func(i int) string) []*peer {
	t.Helper()
	list := make([]*peer, n)
	for i := range list {
		if compressed {
			list[i] = deflated(t, srv)
		} else {
			list[i] = rawWebSocket(t, srv)
		}
		list[i].connect(t, "heart-beat", "0,0")
		list[i].subscribe(t, id(i), "/topic/news")
	}
	brokertest.Eventually(t, "everything is written", func() bool {
		for s := range srv.Broker.Sessions() {
			if s.Pending > 0 {
				return false
			}
		}
		return true
	})
	return list
}

// One message to a hundred subscribers is compressed once: those with the same
// subscription id share the whole frame, all others its compressed part.
func TestOneCompressionForAllSubscribers(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{Compression: true})
	m := &broker.Message{Destination: "/topic/news", Body: []byte(orders(1024))}
	listeners(t, srv, 100, true, func(i int) string { return fmt.Sprint("sub-", i%3) })
	distinct := make(map[*byte]bool)
	list := srv.Broker.Encode(m)
	for _, seg := range list {
		distinct[unsafe.SliceData(seg)] = true
	}
	if len(list) != 100 || len(distinct) != 3 {
		t.Errorf("%d frames for 100 subscribers with 3 subscription ids, %d distinct", len(list), len(distinct))
	}

	// With ids of their own each frame is new, and its compressed part is not.
	listeners(t, srv, 100, true, func(i int) string { return fmt.Sprint("own-", i) })
	list = srv.Broker.Encode(m)
	clear(distinct)
	tails := make(map[string]bool)
	for _, seg := range list {
		distinct[unsafe.SliceData(seg)] = true
		_, tail, ok := bytes.Cut(seg, []byte("destination:/topic/news\n"))
		if seg[0] != 0xc1 || !ok {
			t.Fatalf("%q is not compressed", seg)
		}
		tails[string(tail)] = true
	}
	if len(list) != 200 || len(distinct) < 100 || len(tails) != 1 {
		t.Errorf("%d frames for 200 subscribers, %d distinct, %d compressed", len(list), len(distinct), len(tails))
	}
}

// The push to subscribers with compression costs one compression, and per
// subscriber no allocation.
func TestCompressedFanOutAllocatesNothingPerSubscriber(t *testing.T) {
	const few, many = 20, 220
	srv := brokertest.Start(t, broker.Options{Compression: true})
	m := &broker.Message{Destination: "/topic/news", Body: []byte(orders(1024))}
	id := func(i int) string { return fmt.Sprint("sub-", i%3) }
	measure := func() float64 {
		srv.Broker.Push(m) // fills the pools
		return testing.AllocsPerRun(200, func() { srv.Broker.Push(m) })
	}
	listeners(t, srv, few, true, id)
	first := measure()
	listeners(t, srv, many-few, true, id)
	second := measure()
	t.Logf("%.0f allocations for %d subscribers, %.0f for %d", first, few, second, many)
	if perSubscriber := (second - first) / (many - few); perSubscriber > 0.05 { // see TestFanOutAllocatesNothingPerSubscriber
		t.Errorf("%.3f allocations per subscriber, want 0", perSubscriber)
	}
}

// BenchmarkFanOutSockets is the fan-out of messages of 1 KiB of JSON to 100 real
// WebSockets on loopback, with and without compression. Their other ends, in this
// process, read frames and do not inflate them.
func BenchmarkFanOutSockets(b *testing.B) {
	for _, compressed := range []bool{false, true} {
		for _, burst := range []int{1, 100} {
			b.Run(fmt.Sprintf("compressed=%v/burst=%d", compressed, burst), func(b *testing.B) {
				fanOutSockets(b, compressed, burst)
			})
		}
	}
}

func fanOutSockets(b *testing.B, compressed bool, burst int) {
	const n = 100
	srv := brokertest.Start(b, broker.Options{Compression: true, Limits: broker.Limits{Outbox: 64 << 20, UnauthenticatedPerAddress: n}})
	m := &broker.Message{
		Destination: "/topic/news", Body: []byte(orders(1024)),
		Headers: []frames.Header{{Name: "content-type", Value: "application/json"}},
	}
	var read, octets atomic.Int64
	round := make(chan bool)
	for _, p := range listeners(b, srv, n, compressed, func(int) string { return "sub-0" }) {
		_ = p.SetReadDeadline(time.Time{})
		go func() {
			for {
				h, err := ws.ReadHeader(p.r)
				if err == nil {
					_, err = p.r.Discard(int(h.Length))
				}
				if err != nil {
					return // the end of the benchmark
				}
				octets.Add(int64(ws.HeaderSize(h)) + h.Length)
				if read.Add(1)%int64(n*burst) == 0 {
					round <- true
				}
			}
		}()
	}
	b.ReportAllocs()
	rounds := 0
	for b.Loop() {
		for range burst {
			if err := srv.Broker.Publish(context.Background(), m); err != nil {
				b.Fatal(err)
			}
		}
		<-round
		rounds++
	}
	deliveries := float64(n * burst * rounds)
	b.ReportMetric(deliveries/b.Elapsed().Seconds()/1e3, "kdeliveries/s")
	b.ReportMetric(float64(octets.Load())/deliveries, "octets/delivery")
}
