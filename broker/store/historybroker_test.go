package store_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// The last values of more destinations than one request to the engine returns
// come from the disk, each once, in the order of their numbers. With -large there
// are 100,000.
func TestLastValuesOfManyDestinations(t *testing.T) {
	many := 3000
	if large {
		many = 100_000
	}
	dir := t.TempDir()
	o := broker.Options{History: []broker.History{{Destination: prices, Messages: 1, Bytes: 1 << 30}}, HistoryBytes: -1}
	o.Limits.Outbox = 64 << 20
	r := openArchive(t, dir)
	o.HistoryStore = r
	b := brokertest.New(t, o)
	const publishers = 100
	for round := range 2 {
		var all sync.WaitGroup
		for p := range publishers {
			all.Go(func() {
				for i := p; i < many; i += publishers {
					m := &broker.Message{Destination: fmt.Sprintf("/topic/prices/%06d", i), Body: fmt.Appendf(nil, "%d of %06d", round, i)}
					if err := b.Publish(t.Context(), m); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	r.close()

	o.HistoryStore = openArchive(t, dir)
	b = brokertest.New(t, o)
	if st := b.Stats(); st.HistoryMessages != many || st.HistoryDestinations != many {
		t.Errorf("%d messages of %d destinations", st.HistoryMessages, st.HistoryDestinations)
	}
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "1", prices, "offset", "last")
	seen, last := make(map[string]bool), 0
	for range many {
		m := c.Expect(t, "MESSAGE")
		n := 0
		if _, err := fmt.Sscan(m.Get("x-stream-offset"), &n); err != nil || n <= last {
			t.Fatalf("%d follows %d (%v)", n, last, err)
		}
		last = n
		name := strings.TrimPrefix(m.Get("destination"), "/topic/prices/")
		if seen[name] || string(m.Body) != "1 of "+name {
			t.Fatalf("%s: %q, seen: %v", name, m.Body, seen[name])
		}
		seen[name] = true
	}
}

// A client that was away while the broker was restarted gets what it missed, and
// recovered:true, from the disk and from memory.
func TestOffsetsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	r := openArchive(t, dir)
	o := broker.Options{History: []broker.History{{Destination: prices, Messages: 1000}}, HistoryStore: r}
	b := brokertest.New(t, o)
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "1", "/topic/prices/*")
	send := func(body string) {
		t.Helper()
		if err := b.Publish(t.Context(), &broker.Message{Destination: "/topic/prices/a", Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	send("1")
	offset := c.Expect(t, "MESSAGE").Get("offset")
	for i := range 100 {
		send(fmt.Sprint("missed ", i))
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	r.close()
	o.HistoryStore = openArchive(t, dir)
	b = brokertest.New(t, o)
	send("live")
	c = brokertest.Connect(t, b)
	c.Send("SUBSCRIBE", "", "id", "1", "destination", "/topic/prices/*", "offset", offset, "receipt", "s")
	if f := c.Expect(t, "RECEIPT"); f.Get("recovered") != "true" {
		t.Errorf("the RECEIPT says %v", f.Headers)
	}
	epoch, _, _ := strings.Cut(offset, ":")
	for i := range 101 {
		want := fmt.Sprint("missed ", i)
		if i == 100 {
			want = "live"
		}
		if m := c.Expect(t, "MESSAGE"); string(m.Body) != want || m.Get("offset") != fmt.Sprint(epoch, ":", i+2) {
			t.Fatalf("%q with %s, want %q", m.Body, m.Get("offset"), want)
		}
	}
}
