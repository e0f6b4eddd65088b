package broker_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestSubscribeRefused(t *testing.T) {
	for _, tc := range []struct {
		name, version string
		code          int
		message       string
		headers       []string
	}{
		{"trap 27: no id in 1.1", "1.1", 1002, "id header", []string{"destination", "/topic/a"}},
		{"trap 27: no id in 1.2", "1.2", 1002, "id header", []string{"destination", "/topic/a"}},
		{"trap 27: duplicate id", "1.2", 1002, `"taken" is already in use`, []string{"id", "taken", "destination", "/topic/b"}},
		{"trap 27: duplicate id in 1.0", "1.0", 1002, `"taken" is already in use`, []string{"id", "taken", "destination", "/topic/b"}},
		{"no destination", "1.2", 1002, "destination header", []string{"id", "1"}},
		{"unknown prefix", "1.2", 1002, "/topic/", []string{"id", "1", "destination", "/exchange/a"}},
		{"prefix alone", "1.2", 1002, "behind its prefix", []string{"id", "1", "destination", "/topic/"}},
		{"prefix of a prefix", "1.2", 1002, "/topic/", []string{"id", "1", "destination", "/topicx/a"}},
		{"pattern above the prefix", "1.2", 1002, "/topic/", []string{"id", "1", "destination", "/**"}},
		{"unknown ack mode", "1.2", 1002, "client-individual", []string{"id", "1", "destination", "/topic/a", "ack", "manual"}},
		{"pattern of queues", "1.2", 4403, "one queue", []string{"id", "1", "destination", "/queue/*"}},
		{"pattern of handlers", "1.2", 4403, "pattern", []string{"id", "1", "destination", "/app/*"}},
		{"pattern of user destinations", "1.2", 4403, "pattern", []string{"id", "1", "destination", "/user/queue/*"}},
		{"prefetch-count that is no number", "1.2", 1002, "prefetch-count", []string{"id", "1", "destination", "/queue/a", "prefetch-count", "many"}},
		{"negative prefetch-count", "1.2", 1002, "prefetch-count", []string{"id", "1", "destination", "/queue/a", "prefetch-count", "-1"}},
		{"too many", "1.2", 4429, "more than 2 subscriptions", []string{"id", "1", "destination", "/topic/a", "twice", "yes"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := broker.Options{}
			o.Limits.Subscriptions = 2
			b := newBroker(t, o)
			c := brokertest.Connect(t, b, "accept-version", tc.version)
			c.Subscribe(t, "taken", "/topic/a")
			if tc.code == 4429 {
				c.Subscribe(t, "second", "/topic/a")
			}
			c.Send("SUBSCRIBE", "", append(tc.headers, "receipt", "r")...)
			wantHeaders(t, wantError(t, c, tc.code, tc.message), "receipt-id", "r")
			if n := b.Stats().Subscriptions; n != 0 {
				t.Errorf("%d subscriptions are left", n)
			}
		})
	}
}

func TestSubscriptionIDMayBeUsedAgain(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c, d := brokertest.Connect(t, b), brokertest.Connect(t, b)
	d.Subscribe(t, "s", "/topic/b") // ids belong to their session
	c.Subscribe(t, "s", "/topic/a")
	c.Send("UNSUBSCRIBE", "", "id", "s")
	c.Subscribe(t, "s", "/topic/b")
	publish(t, b, "/topic/a", "a")
	publish(t, b, "/topic/b", "b")
	wantMessages(t, c, "b")
	wantMessages(t, d, "b")
}

func TestSubscriptionIDTravelsAsItIs(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b)
	const id = "a:b\nc\\d \u00e4"
	c.Subscribe(t, id, "/topic/a")
	publish(t, b, "/topic/a", "x")
	wantHeaders(t, wantMessages(t, c, "x")[0], "subscription", id)
	c.Send("UNSUBSCRIBE", "", "id", id)
	c.Sync(t)
	publish(t, b, "/topic/a", "y")
	wantMessages(t, c)
}

func TestStomp10WithoutSubscriptionID(t *testing.T) { // traps 27 and 40
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b, "accept-version", "1.0")
	for _, d := range []string{"/topic/a", "/topic/a", "/topic/b"} {
		c.Send("SUBSCRIBE", "", "destination", d)
	}
	c.Sync(t)
	publish(t, b, "/topic/a", "a")
	publish(t, b, "/topic/b", "b")
	for _, m := range wantMessages(t, c, "a", "a", "b") {
		wantHeaders(t, m, "subscription", "-")
	}
	c.Send("UNSUBSCRIBE", "", "destination", "/topic/a", "receipt", "1")
	c.ExpectReceipt(t, "1")
	publish(t, b, "/topic/a", "a")
	publish(t, b, "/topic/b", "b")
	wantMessages(t, c, "a", "b")
	c.Send("UNSUBSCRIBE", "", "destination", "/topic/a")
	c.Send("UNSUBSCRIBE", "", "destination", "/topic/unknown")
	c.Sync(t)
	publish(t, b, "/topic/a", "a")
	publish(t, b, "/topic/b", "b")
	wantMessages(t, c, "b")
}

func TestStomp10WithSubscriptionID(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b, "accept-version", "1.0")
	c.Subscribe(t, "s", "/topic/a")
	publish(t, b, "/topic/a", "a")
	wantHeaders(t, wantMessages(t, c, "a")[0], "subscription", "s")
	c.Send("UNSUBSCRIBE", "", "id", "s")
	c.Sync(t)
	publish(t, b, "/topic/a", "a")
	wantMessages(t, c)
}

func TestUnknownUnsubscribeIsIgnored(t *testing.T) { // C-3
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b, "accept-version", "1.1,1.0")
	c.Subscribe(t, "sub-1", "/user/topic/authorization")
	c.Send("UNSUBSCRIBE", "", "id", "/user/topic/authorization", "receipt", "1")
	c.ExpectReceipt(t, "1")
	if _, err := b.PublishToSession(t.Context(), c.Session, &broker.Message{Destination: "/topic/authorization", Body: []byte("CONFIRMED")}); err != nil {
		t.Fatal(err)
	}
	wantMessages(t, c, "CONFIRMED")
}

func TestUnsubscribeWithoutID(t *testing.T) {
	for _, version := range []string{"1.1", "1.2"} {
		c := brokertest.Connect(t, newBroker(t, broker.Options{}), "accept-version", version)
		c.Subscribe(t, "s", "/topic/a")
		c.Send("UNSUBSCRIBE", "", "destination", "/topic/a")
		wantError(t, c, 1002, "id header")
	}
}

func TestUnsubscribeEndsOneOfTwo(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "1", "/topic/a")
	c.Subscribe(t, "2", "/topic/a")
	c.Send("UNSUBSCRIBE", "", "id", "1")
	c.Sync(t)
	publish(t, b, "/topic/a", "x")
	wantHeaders(t, wantMessages(t, c, "x")[0], "subscription", "2")
}

// W-14: frames of one session are handled in the order received.
func TestSubscribeThenSendReachesItself(t *testing.T) {
	c := brokertest.Connect(t, newBroker(t, broker.Options{}))
	for i := range 100 {
		id := fmt.Sprint(i)
		c.Write(encode(
			frame("SUBSCRIBE", "", "id", id, "destination", "/topic/a"),
			frame("SEND", id, "destination", "/topic/a"),
			frame("UNSUBSCRIBE", "", "id", id),
			frame("SEND", "late", "destination", "/topic/a"),
		))
		wantMessages(t, c, id)
	}
}

// trap 32, and the promise behind it: under a publisher that never pauses, the
// RECEIPT of a SUBSCRIBE precedes its first MESSAGE, nothing published after it
// is missed, and nothing follows the RECEIPT of the UNSUBSCRIBE.
func TestSubscribeUnsubscribeRace(t *testing.T) {
	const rounds = 500
	o := broker.Options{}
	o.Limits.Outbox = -1
	b := newBroker(t, o)
	var published atomic.Int64 // the last message that Publish has returned for
	p := newPace(3)
	var publisher sync.WaitGroup
	publisher.Go(func() {
		for n := p.publish(); n != 0; n = p.publish() {
			if err := b.Publish(context.Background(), &broker.Message{Destination: "/topic/race", Body: strconv.AppendInt(nil, n, 10)}); err != nil {
				t.Error(err)
				return
			}
			published.Store(n)
		}
	})
	t.Run("subscribers", func(t *testing.T) {
		for i, tc := range []struct{ destination, ack string }{
			{"/topic/race", "auto"}, {"/topic/*", "auto"}, {"/topic/race", "client-individual"},
		} {
			t.Run(tc.destination+" "+tc.ack, func(t *testing.T) {
				t.Parallel()
				defer p.read(i, resting)
				c := brokertest.Connect(t, b)
				for round := range rounds {
					raceOnce(t, c, fmt.Sprint(round), tc.destination, tc.ack, &published, func(n int64) { p.read(i, n) })
					p.read(i, resting)
				}
				wantMessages(t, c)
			})
		}
	})
	p.end()
	testkit.Wait(t, &publisher)
}

// raceOnce is one life of a subscription.
func raceOnce(t *testing.T, c *brokertest.Client, id, destination, ack string, published *atomic.Int64, read func(int64)) {
	c.Subscribe(t, id, destination, "ack", ack) // fails if a MESSAGE comes first
	// One Publish may be under way; the one after it has certainly not begun.
	latest := published.Load() + 2
	read(latest)
	last := int64(0)
	for seen, ending := 0, false; ; seen++ {
		if seen == 3 {
			c.Send("UNSUBSCRIBE", "", "id", id, "receipt", "end")
			ending = true
		}
		f, err := c.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if ending && f.Command == "RECEIPT" {
			return
		}
		n, err := strconv.ParseInt(string(f.Body), 10, 64)
		if err != nil || f.Command != "MESSAGE" || f.Get("subscription") != id {
			t.Fatalf("subscription %s got %s %v %q", id, f.Command, f.Headers, f.Body)
		}
		if last == 0 && n > latest {
			t.Fatalf("subscription %s missed messages: the first is %d, want at most %d", id, n, latest)
		}
		if last != 0 && n != last+1 {
			t.Fatalf("subscription %s got %d after %d", id, n, last)
		}
		last = n
		read(n)
	}
}

// A MESSAGE of 1.1 and 1.2 always says which subscription it is for, also when
// the client chose the empty string as its id.
func TestEmptySubscriptionID(t *testing.T) {
	for _, version := range []string{"1.1", "1.2"} {
		b := newBroker(t, broker.Options{})
		c := brokertest.Connect(t, b, "accept-version", version)
		c.Subscribe(t, "", "/topic/a")
		publish(t, b, "/topic/a", "x")
		wantHeaders(t, wantMessages(t, c, "x")[0], "subscription", "")
		c.Send("UNSUBSCRIBE", "", "id", "")
		c.Sync(t)
		publish(t, b, "/topic/a", "y")
		wantMessages(t, c)
	}
}

// A SUBSCRIBE that asks for what no destination gives is refused, and accepted
// if it says that it does not want it.
func TestUnavailableHeaders(t *testing.T) {
	b := newBroker(t, broker.Options{})
	for name, why := range map[string]string{
		"browser": "the messages would be consumed", "no-local": "sends itself", "activemq.noLocal": "sends itself",
		"activemq.exclusive": "share its messages", "x-single-active-consumer": "share its messages",
	} {
		for _, destination := range []string{"/queue/a", "/topic/a"} {
			c := brokertest.Connect(t, b)
			c.Subscribe(t, "no", destination, name, "false")
			c.Send("SUBSCRIBE", "", "id", "yes", "destination", destination, name, "true")
			f := wantError(t, c, 1002, name+" is not supported: ")
			if !strings.Contains(f.Get("message"), why) {
				t.Errorf("the ERROR says %q, want %q in it", f.Get("message"), why)
			}
		}
	}
}

// ActiveMQ's name for the prefetch of a subscription is known.
func TestPrefetchOfActiveMQ(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b)
	for _, body := range []string{"1", "2", "3"} {
		send(t, c, "/queue/a", body)
	}
	c.Subscribe(t, "s", "/queue/a", "ack", "client-individual", "activemq.prefetchSize", "2")
	wantMessages(t, c, "1", "2")
	c.Send("SUBSCRIBE", "", "id", "t", "destination", "/queue/a", "activemq.prefetchSize", "many")
	wantError(t, c, 1002, "activemq.prefetchSize must be a whole number")
}
