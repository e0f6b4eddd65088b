package broker_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// BenchmarkTLSFanOut is the fan-out of messages of 128 bytes to 100 WebSockets
// over TLS on loopback, beside what crypto/tls alone does with the same bytes in
// the same batches: a goroutine for each connection that writes up to 64 KiB at
// a time. The receiving ends, in this process, read frame after frame.
func BenchmarkTLSFanOut(b *testing.B) {
	const n, burst = 100, 300
	body := make([]byte, 128)
	b.Run("broker", func(b *testing.B) {
		br := brokertest.New(b, broker.Options{Limits: broker.Limits{Outbox: 64 << 20, UnauthenticatedPerAddress: n}})
		hs := httptest.NewTLSServer(br)
		b.Cleanup(hs.Close)
		list := make([]*peer, n)
		for i := range list {
			list[i] = tlsPeer(b, hs)
			list[i].connect(b, "heart-beat", "0,0")
			list[i].subscribe(b, "sub-0", "/topic/news")
		}
		m := &broker.Message{Destination: "/topic/news", Body: body}
		rounds(b, list, burst, func() {
			for range burst {
				if err := br.Publish(context.Background(), m); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	b.Run("floor", func(b *testing.B) {
		conns := make(chan net.Conn, n)
		hs := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			nc, _, _, err := ws.UpgradeHTTP(r, w)
			if err != nil {
				b.Error(err)
			}
			conns <- nc
		}))
		b.Cleanup(hs.Close)
		list, ends := make([]*peer, n), make([]net.Conn, n)
		for i := range list {
			list[i] = tlsPeer(b, hs)
			ends[i] = <-conns
			b.Cleanup(func() { _ = ends[i].Close() })
		}
		f := frame("MESSAGE", string(body), "subscription", "sub-0", "destination", "/topic/news", "message-id", "0a1b2c3d-1000000")
		one := ws.MustCompileFrame(ws.NewTextFrame(encode(f)))
		var batches [][]byte
		for range burst {
			if last := len(batches) - 1; last < 0 || len(batches[last])+len(one) > 64<<10 {
				batches = append(batches, nil)
			}
			batches[len(batches)-1] = append(batches[len(batches)-1], one...)
		}
		rounds(b, list, burst, func() {
			var all sync.WaitGroup
			for _, nc := range ends {
				all.Go(func() {
					for _, p := range batches {
						if _, err := nc.Write(p); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
		})
	})
}

// tlsPeer opens a WebSocket over TLS.
func tlsPeer(b *testing.B, hs *httptest.Server) *peer {
	b.Helper()
	nc, err := tls.Dial("tcp", hs.Listener.Addr().String(), hs.Client().Transport.(*http.Transport).TLSClientConfig)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = nc.Close() })
	if _, err := fmt.Fprintf(nc, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", hs.Listener.Addr()); err != nil {
		b.Fatal(err)
	}
	r := bufio.NewReaderSize(nc, 64<<10)
	if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		b.Fatalf("the handshake was answered with %v, %v", res, err)
	}
	return newPeer(nc, r, true)
}

// rounds sends burst messages to each peer, again and again, and waits for them.
func rounds(b *testing.B, list []*peer, burst int, send func()) {
	var read atomic.Int64
	round := make(chan bool)
	for _, p := range list {
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
				if read.Add(1)%int64(len(list)*burst) == 0 {
					round <- true
				}
			}
		}()
	}
	n := 0
	for b.Loop() {
		send()
		<-round
		n += len(list) * burst
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Mdeliveries/s")
}
