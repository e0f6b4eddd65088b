//go:build !race

package broker_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// The bytes of a history bound its memory, whatever headers a client sends.
func TestMemoryOfAHistoryIsBounded(t *testing.T) {
	for name, test := range map[string]struct {
		header      string
		destination func(i int) string
	}{
		"a header that is not kept": {"id", func(i int) string { return fmt.Sprint("/topic/a/", i) }},
		"a forged offset":           {"offset", func(int) string { return "/topic/a/1" }},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, broker.Options{History: []broker.History{{Destination: "/topic/a/**", Messages: -1, Bytes: 1 << 20}}})
			c := brokertest.Connect(t, b)
			junk := strings.Repeat("x", 7<<10)
			before := testkit.Heap()
			for i := range 2000 {
				c.Send("SEND", "1", "destination", test.destination(i), test.header, junk)
			}
			c.Sync(t)
			taken := testkit.Heap() - before
			if taken > 2<<20 {
				t.Errorf("a history of 1 MiB takes %d KiB", taken>>10)
			}
			runtime.KeepAlive(b)
		})
	}
}

// Clients that come back at once to large messages and read nothing hold no more
// than the budget of all replays; those that have no turn yet get nothing. While
// nothing moves, one of them after the other gets a message nevertheless. When
// the clients read, all get everything.
func TestMemoryOfReplaysIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, size, budget = 300, 60_000, 4 << 20
		o := broker.Options{History: []broker.History{{Destination: "/topic/large", Messages: 3}}}
		o.Limits.ReplayBytes = budget
		o.WriteDeadline = time.Hour
		b := newBroker(t, o)
		for range 3 {
			publish(t, b, "/topic/large", strings.Repeat("x", size))
		}
		var list []*slowClient
		for range clients {
			list = append(list, connectSlow(t, b))
		}
		waiting := func() (bytes, sessions int) {
			synctest.Wait()
			for s := range b.Sessions() {
				if s.Pending > size {
					sessions++
				}
				bytes += s.Pending
			}
			return bytes, sessions
		}
		before := testkit.Heap()
		for _, c := range list {
			c.send(frame("SUBSCRIBE", "", "id", "1", "destination", "/topic/large", "offset", "first", "receipt", "s"))
		}
		bytes, served := waiting()
		held := testkit.Heap() - before
		// Each that works may take one message more.
		most := budget + runtime.GOMAXPROCS(0)*(size+1000)
		t.Logf("%d bytes wait for %d of %d clients; the heap grew by %d", bytes, served, clients, held)
		if bytes < budget-size || bytes > most+clients*200 || served < budget/(size+1000) || served > clients/2 {
			t.Errorf("%d bytes wait for %d clients, want %d to %d", bytes, served, budget-size, most)
		}
		if held > int64(most)+2<<20 {
			t.Errorf("the heap grew by %d bytes, want at most %d", held, most)
		}
		time.Sleep(10*broker.StuckAfter + broker.StuckAfter/2)
		if _, now := waiting(); now < served+5 || now > served+11 {
			t.Errorf("after a second in which nothing moved %d clients are served, before %d", now, served)
		}
		var reading sync.WaitGroup
		for _, c := range list {
			reading.Go(func() {
				if f := c.next(t); f.Command != "RECEIPT" {
					t.Errorf("got %v", f.Headers)
				}
				for i := range 3 {
					if f := c.next(t); f.Get("x-stream-offset") != fmt.Sprint(i+1) {
						t.Errorf("got %v, want %d", f.Headers, i+1)
						return
					}
				}
			})
		}
		reading.Wait()
		synctest.Wait()
		if n := b.ReplayBytes(); n != 0 {
			t.Errorf("%d bytes are still counted", n)
		}
	})
}
