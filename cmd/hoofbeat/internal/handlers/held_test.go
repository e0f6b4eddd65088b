package handlers

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/topics"
)

// stuck is a server that does not answer.
type stuck struct{}

func (stuck) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// Requests that wait hold no more than what handlers_bytes counts.
func TestRequestsHoldWhatTheyCount(t *testing.T) {
	const sessions, each = 200, 5
	for _, bytes := range []int{10, 4000} {
		b := brokertest.New(t, broker.Options{})
		names, err := topics.NewNames(topics.DefaultPrefixes())
		if err != nil {
			t.Fatal(err)
		}
		const room = 1 << 30
		set, err := New(Options{
			Broker: b, Names: names, InFlight: 10, Bytes: room, Transport: stuck{},
			Handlers: []Handler{{Destination: "/app/a", URL: "https://app.example.com", Timeout: time.Hour, InFlight: 10, MaxAnswer: 1}},
		})
		if err != nil {
			t.Fatal(err)
		}
		set.patience = time.Hour // however slow the machine is
		t.Cleanup(set.Close)
		clients := make([]*brokertest.Client, sessions)
		for i := range clients {
			clients[i] = brokertest.Connect(t, b)
		}
		body := strings.Repeat("a", bytes)
		waiting := func() (n int) {
			set.mu.Lock()
			defer set.mu.Unlock()
			for _, l := range set.lanes {
				n += 1 + len(l.waiting)
			}
			return n
		}
		before := testkit.Heap()
		for _, c := range clients {
			for range each {
				c.Send("SEND", body, "destination", "/app/a")
			}
		}
		brokertest.Eventually(t, "all requests wait", func() bool { return waiting() == sessions*each })
		brokertest.Eventually(t, "the requests hold no more than they count", func() bool { // sessions give back their read buffers later
			held := testkit.Heap() - before
			set.room.mu.Lock()
			counted := int64(room) - set.room.free
			set.room.mu.Unlock()
			t.Logf("%d requests of %d bytes hold %d bytes and count as %d", sessions*each, bytes, held, counted)
			return held <= counted
		})
	}
}
