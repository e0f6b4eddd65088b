package broker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

func TestDurableDropsItsOldest(t *testing.T) {
	for name, d := range map[string]broker.Durable{"messages": {Messages: 3}, "bytes": {Bytes: 1000}} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, withDurable(d))
			attach(t, b, "ann").Close()
			for i := range 10 { // each counts as 250 to 333 bytes
				publish(t, b, "/topic/orders/eu", fmt.Sprint(i))
			}
			if d := theDurable(t, b); d.Messages != 3 || d.Dropped != 7 {
				t.Fatalf("the subscription is %+v, want 3 messages and 7 dropped", d)
			}
			c := attach(t, b, "ann")
			publish(t, b, "/topic/orders/eu", "10")
			for i, m := range wantMessages(t, c, "7", "8", "9", "10") {
				says := "-"
				if i == 0 {
					says = "7"
				}
				wantHeaders(t, m, "dropped", says)
			}
			if st := b.Stats(); st.DurableSubscriptions != 1 || st.DurableMessages != 0 || st.DurableBytes != 0 || st.DurableDropped != 7 {
				t.Errorf("the statistics are %+v", st)
			}
			if err := b.DeleteDurable("ann", "inbox"); err != nil {
				t.Fatal(err)
			}
			if st := b.Stats(); st.DurableSubscriptions != 0 || st.DurableDropped != 7 {
				t.Errorf("the statistics are %+v", st)
			}
		})
	}
}

// A sender cannot forge the header.
func TestDurableDroppedIsTheBrokers(t *testing.T) {
	b := newBroker(t, withDurable(broker.Durable{}))
	c := attach(t, b, "ann")
	live := brokertest.Connect(t, b)
	live.Subscribe(t, "l", "/topic/orders/eu")
	send(t, brokertest.Connect(t, b), "/topic/orders/eu", "1", "dropped", "5", "k", "v")
	wantHeaders(t, expectMessage(t, c, "1"), "dropped", "-", "k", "v")
	wantHeaders(t, expectMessage(t, live, "1"), "dropped", "5", "k", "v")
}

func TestDurableAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, withDurable(broker.Durable{Age: time.Hour, Unused: 3 * time.Hour}))
		attach(t, b, "ann").Close()
		publish(t, b, "/topic/orders/eu", "1")
		time.Sleep(50 * time.Minute)
		publish(t, b, "/topic/orders/eu", "2")
		time.Sleep(20 * time.Minute)
		if d := theDurable(t, b); d.Messages != 1 || d.Dropped != 1 || d.Oldest != 20*time.Minute || time.Since(d.Since) != 70*time.Minute {
			t.Errorf("the subscription is %+v, want one message of 20 minutes", d)
		}
		c := attach(t, b, "ann")
		wantHeaders(t, expectMessage(t, c, "2"), "dropped", "1")
		time.Sleep(4 * time.Hour) // in use
		wantDurables(t, b, "ann:inbox")
		c.Close()
		time.Sleep(3*time.Hour - time.Minute)
		wantDurables(t, b, "ann:inbox")
		time.Sleep(2 * time.Minute)
		wantDurables(t, b)
	})
}

func TestDurableExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, withDurable(broker.Durable{}))
		attach(t, b, "ann").Close()
		sender := brokertest.Connect(t, b)
		send(t, sender, "/topic/orders/eu", "1", "ttl", "1000")
		send(t, sender, "/topic/orders/eu", "2")
		time.Sleep(10 * time.Second)
		if d := theDurable(t, b); d.Messages != 1 || d.Dropped != 0 || b.Stats().Expired != 1 {
			t.Errorf("the subscription is %+v, %d expired", d, b.Stats().Expired)
		}
		wantHeaders(t, expectMessage(t, attach(t, b, "ann"), "2"), "dropped", "-")
	})
}

// Patterns and selectors of a durable subscription count as those of others do,
// and are given back.
func TestDurableCountsWhatSlowsRouting(t *testing.T) {
	o := withDurable(broker.Durable{})
	o.Limits.SlowPatternsPerUser, o.Limits.SelectorsPerUser = 1, 1
	b := newBroker(t, o)
	subscribe := func(name, destination, expression string) *brokertest.Client {
		c := brokertest.Connect(t, b, "login", "ann")
		c.Send("SUBSCRIBE", "", "id", "s", "destination", destination, "durable", name, "selector", expression, "receipt", "r")
		return c
	}
	subscribe("a", "/topic/orders/a?", "headers.k == 'v'").ExpectReceipt(t, "r")
	wantError(t, subscribe("b", "/topic/orders/b?", "headers.k == 'v'"), 4429, "limits.slow_patterns_per_user is 1")
	wantError(t, subscribe("b", "/topic/orders/b", "headers.k == 'w'"), 4429, "limits.selectors_per_user is 1")
	if err := b.DeleteDurable("ann", "a"); err != nil {
		t.Fatal(err)
	}
	subscribe("b", "/topic/orders/b?", "headers.k == 'w'").ExpectReceipt(t, "r")
}

func TestDurableLimits(t *testing.T) {
	o := withDurable(broker.Durable{})
	o.Limits.Durable, o.Limits.DurablePerUser = 3, 2
	b := newBroker(t, o)
	subscribe := func(user, name string) *brokertest.Client {
		c := brokertest.Connect(t, b, "login", user)
		c.Send("SUBSCRIBE", "", "id", "s", "destination", "/topic/orders/eu", "durable", name, "receipt", "r")
		return c
	}
	subscribe("ann", "1").ExpectReceipt(t, "r")
	subscribe("ann", "2").ExpectReceipt(t, "r")
	wantError(t, subscribe("ann", "3"), 4429, "too many durable subscriptions of this user: limits.durable_per_user is 2")
	subscribe("bob", "1").ExpectReceipt(t, "r")
	wantError(t, subscribe("bob", "2"), 4429, "too many durable subscriptions: limits.durable is 3")
	if n, err := b.DeleteDurables("ann"); n != 2 || err != nil {
		t.Errorf("%d deleted, want 2: %v", n, err)
	}
	wantDurables(t, b, "bob:1")
	subscribe("bob", "2").ExpectReceipt(t, "r")
	if l := b.Stats().Limited; l["limits.durable"] != 1 || l["limits.durable_per_user"] != 1 {
		t.Errorf("the statistics count %v", l)
	}
}

// What waits counts in the shares of the queues. A subscription whose user has
// no share left drops its own messages, and nobody else's.
func TestDurableCountsInTheShares(t *testing.T) {
	o := withDurable(broker.Durable{})
	o.Queues.BytesPerUser = 2000
	b := newBroker(t, o)
	attach(t, b, "ann").Close()
	attach(t, b, "bob").Close()
	ann := brokertest.Connect(t, b, "login", "ann")
	send(t, ann, "/queue/a", strings.Repeat("x", 1300)) // leaves room for one
	for i := range 3 {
		send(t, ann, "/topic/orders/eu", fmt.Sprint(i))
	}
	ann.Subscribe(t, "s", "/topic/orders/eu", "durable", "inbox")
	wantHeaders(t, wantMessages(t, ann, "2")[0], "dropped", "2")
	wantMessages(t, attach(t, b, "bob"), "0", "1", "2")
}

// A client that comes and goes while others publish misses nothing without a
// sign: each message follows the one before, or says how many were dropped.
func TestDurableUnderPublishers(t *testing.T) {
	b := newBroker(t, withDurable(broker.Durable{Messages: 20}))
	attach(t, b, "ann").Close()
	const messages = 2000
	published := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < messages && err == nil; i++ {
			err = b.Publish(context.Background(), &broker.Message{Destination: "/topic/orders/eu", Body: fmt.Append(nil, i)})
		}
		published <- err
	}()
	number := func(s string) (n int) {
		t.Helper()
		if s == "" {
			return 0
		}
		if _, err := fmt.Sscan(s, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	next := 0
	visit := func() (taken int) {
		t.Helper()
		c := attach(t, b, "ann", "ack", "client-individual", "prefetch-count", "5")
		defer c.Close()
		for _, m := range c.Sync(t) {
			n, lost := number(string(m.Body)), number(m.Get("dropped"))
			if n != next+lost {
				t.Fatalf("got %d with dropped:%d after %d", n, lost, next-1)
			}
			next = n + 1
			taken++
			c.Send("ACK", "", "id", m.Get("ack"))
		}
		c.Sync(t) // what comes now is not acknowledged, and comes again
		return taken
	}
	for done := false; !done; visit() {
		select {
		case err := <-published:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		default:
		}
	}
	for visit() > 0 {
	}
	if next != messages {
		t.Fatalf("the last message was %d, want %d", next-1, messages-1)
	}
	if d := theDurable(t, b); d.Messages != 0 || d.Session != "" {
		t.Errorf("the subscription is %+v, want no messages", d)
	}
}
