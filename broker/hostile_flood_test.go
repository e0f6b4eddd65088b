package broker_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// E-12: of 10,000 sockets that never authenticate, by the default limits, no more
// than 1,024 are there, 64 of one address; they are ended at the deadline, and a
// good client connects within 100 ms all the time.
func TestE12TenThousandSocketsThatNeverAuthenticate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{HeartBeat: heartBeat(-1, -1), PingInterval: -1})
		const flood, inAll, each = 10_000, 1024, 64
		var sockets sync.WaitGroup
		enter := func(address string) (*link, error) {
			a, err := b.Admit(request(http.MethodGet, "/ws", address))
			if err != nil {
				return nil, err
			}
			l := newLink(netip.AddrPort{})
			sockets.Go(func() { _ = b.Serve(t.Context(), l, a) }) // how it ends is seen in the counts
			return l, nil
		}
		refused := 0
		for i := range flood {
			address := "192.0.2.1:1" // half of them come from one
			if i%2 == 1 {
				address = fmt.Sprintf("198.51.%d.%d:1", i/250%250, i%250)
			}
			if _, err := enter(address); err != nil {
				refused++
			}
			if all, _ := b.Places(); all > inAll {
				t.Fatalf("%d places are taken", all)
			}
		}
		synctest.Wait()
		all, networks := b.Places()
		if all != inAll || networks != inAll-each+1 || refused != flood-inAll || b.Sockets() != inAll {
			t.Errorf("of %d sockets %d are there, from %d networks, and %d were refused; want %d, %d and %d",
				flood, all, networks, refused, inAll, inAll-each+1, flood-inAll)
		}

		<-time.After(200 * time.Millisecond) // the flood had its time to send CONNECT
		since := time.Now()
		good, err := enter("203.0.113.7:1")
		if err != nil {
			t.Fatalf("a good client: %v", err)
		}
		good.in <- []byte("CONNECT\naccept-version:1.2\nheart-beat:0,0\nlogin:alice\n\n\x00")
		if got := string(<-good.out); !strings.HasPrefix(got, "CONNECTED\n") {
			t.Fatalf("the good client got %q", got)
		}
		if d := time.Since(since); d > 100*time.Millisecond {
			t.Errorf("the good client waited %v", d)
		}

		<-time.After(6 * time.Second) // the deadline is 5 s
		synctest.Wait()
		if all, networks := b.Places(); all != 0 || networks != 0 || b.Sockets() != 1 || b.Stats().Sessions != 1 {
			t.Errorf("after the deadline %d places of %d networks are taken, %d sockets", all, networks, b.Sockets())
		}
		_ = good.Close(0, "")
		sockets.Wait()
	})
}
