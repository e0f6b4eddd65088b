package broker_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// While others publish as fast as they can, subscriptions that join get every
// number after their first, once and in order.
func TestH11NoGapUnderPublishers(t *testing.T) {
	o := broker.Options{History: []broker.History{{Destination: "/topic/prices/**", Messages: -1, Bytes: 64 << 20}}}
	o.Limits.Outbox = 64 << 20
	b := newBroker(t, o)
	const publishers, joiners = 3, 8
	each := 1500
	if strings.HasPrefix(t.Name(), historyOverStore+"/") {
		each = 500 // each waits for the disk, so that all join meanwhile nevertheless
	}
	var publishing, joining sync.WaitGroup
	for i := range publishers {
		publishing.Go(func() {
			for n := range each {
				publish(t, b, fmt.Sprint("/topic/prices/", n%4), fmt.Sprint(i, ":", n))
			}
		})
	}
	for i := range joiners {
		joining.Go(func() {
			for round := range 3 {
				c := brokertest.Connect(t, b)
				offset := []string{"first", "last", "next", "-20"}[(i+round)%4]
				c.Send("SUBSCRIBE", "", "id", "1", "destination", "/topic/prices/*", "offset", offset)
				last := 0
				for last < publishers*each {
					f, err := c.Receive()
					if err != nil {
						t.Errorf("%s after %d: %v", offset, last, err)
						return
					}
					n, err := strconv.Atoi(f.Get("x-stream-offset"))
					// With last the snapshot of four destinations has gaps.
					if err != nil || last > 0 && n != last+1 && offset != "last" || n <= last {
						t.Errorf("%s: %d follows %d (%v)", offset, n, last, err)
						return
					}
					last = n
					if offset == "next" && round == 0 && last%100 == 0 {
						break // come back with its offset, below
					}
				}
				c.Close()
				if last == publishers*each || last == 0 {
					continue
				}
				c = brokertest.Connect(t, b)
				c.Send("SUBSCRIBE", "", "id", "1", "destination", "/topic/prices/*", "x-stream-offset", fmt.Sprint("offset=", last+1))
				f, err := c.Receive()
				if err != nil || f.Get("x-stream-offset") != fmt.Sprint(last+1) {
					t.Errorf("after %d: %v, %v", last, f, err)
				}
				c.Close()
			}
		})
	}
	publishing.Wait()
	// Who joined too late for next gets something to end with.
	done := make(chan struct{})
	go func() { joining.Wait(); close(done) }()
	for n := 0; ; n++ {
		select {
		case <-done:
			return
		case <-time.After(10 * time.Millisecond):
			publish(t, b, "/topic/prices/0", fmt.Sprint("more ", n))
		}
	}
}

// Clients that come back at once and read nothing hold little each, whatever
// the history has for them.
func TestReplaysStayWithinTheirBudget(t *testing.T) {
	const clients, messages, least = 200, 100, 4 << 10
	o := broker.Options{History: []broker.History{{Destination: "/topic/prices/**", Messages: 5000, Bytes: 8 << 20}}}
	o.WriteDeadline = 10 * time.Minute // nobody reads for a while
	b := newBroker(t, o)
	body := strings.Repeat("x", 1000)
	for range messages {
		publish(t, b, "/topic/prices/a", body)
	}
	var list []*slowClient
	for range clients {
		c := connectSlow(t, b)
		c.send(frame("SUBSCRIBE", "", "id", "1", "destination", "/topic/prices/a", "offset", "first", "receipt", "s"))
		list = append(list, c)
	}
	for _, c := range list {
		if f := c.next(t); f.Command != "RECEIPT" {
			t.Fatalf("got %v", f)
		}
	}
	pending := 0
	for s := range b.Sessions() {
		pending += s.Pending
	}
	if most := clients * (least + 2000); pending > most {
		t.Errorf("%d bytes wait in %d outboxes, want at most %d", pending, clients, most)
	}
	// All are live in the end.
	var reading sync.WaitGroup
	for _, c := range list {
		reading.Go(func() {
			for i := range messages {
				if f := c.next(t); f.Get("x-stream-offset") != fmt.Sprint(i+1) {
					t.Errorf("got %v, want %d", f.Headers, i+1)
					return
				}
			}
		})
	}
	testkit.Wait(t, &reading)
}

// A topic without a history costs the same, whether others have one or not.
func TestTopicsWithoutHistoryAllocateTheSame(t *testing.T) {
	measuring := func(o broker.Options) func() float64 {
		b := newBroker(t, o)
		subscribers(t, b, 20)
		m := &broker.Message{Destination: "/topic/news", Body: make([]byte, 200)}
		b.Push(m)
		return func() float64 { return testing.AllocsPerRun(200, func() { b.Push(m) }) }
	}
	without, with := measuring(broker.Options{}), measuring(withHistory(10, "/topic/a", "/topic/b/**"))
	// Under the race detector a sync.Pool forgets some of what it is given, so an
	// average that is near a whole number is rounded down to this one or the one
	// below.
	var plain, beside float64
	for range 10 {
		if plain, beside = without(), with(); beside <= plain {
			return
		}
	}
	t.Errorf("%v allocations with a history elsewhere, %v without", beside, plain)
}

// What is kept costs about what is counted.
func TestHistoryHoldsWhatItCounts(t *testing.T) {
	for _, c := range []struct {
		name                              string
		destinations, messages, published int
		body                              int
	}{
		{"last value", 100_000, 1, 1, 20},
		{"last value, changed", 20_000, 1, 3, 20},
		{"rooms", 200, 100, 150, 300},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBroker(t, broker.Options{HistoryBytes: -1, History: []broker.History{{Destination: "/topic/prices/**", Messages: c.messages, Bytes: -1}}})
			body := []byte(strings.Repeat("x", c.body))
			before := testkit.Heap()
			for range c.published {
				for i := range c.destinations {
					m := &broker.Message{Destination: fmt.Sprintf("/topic/prices/%06d", i), Body: body, Headers: []broker.Header{{Name: "content-type", Value: "text/plain"}}}
					if err := b.Publish(t.Context(), m); err != nil {
						t.Fatal(err)
					}
				}
			}
			held := testkit.Heap() - before
			counted := b.Stats().HistoryBytes
			t.Logf("%d bytes held, %d counted; a destination: %d and %d", held, counted, held/int64(c.destinations), counted/int64(c.destinations))
			if held > counted || held < counted/3 {
				t.Errorf("%d bytes held, %d counted", held, counted)
			}
		})
	}
}
