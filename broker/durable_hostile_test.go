package broker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// Another user cannot read dead letters under any spelling, also with other
// prefixes of queues.
func TestDurableDeadLettersBehindOtherPrefixes(t *testing.T) {
	o := withDurable(broker.Durable{})
	o.Destinations.Queue = []string{"/q", "/queue"}
	o.Authorizer = auth.Prefixes(o.Destinations).Open()
	o.Queues.Attempts = 1
	b := newBroker(t, o)
	c := attach(t, b, "ann", "ack", "client")
	publish(t, b, "/topic/orders/eu", "1")
	c.Send("NACK", "", "id", c.Expect(t, "MESSAGE").Get("ack"))
	c.Sync(t)
	const name = "/q/DLQ.durable-subscription/ann/inbox"
	for _, spelling := range []string{
		name, name + "/", strings.Replace(name, "/ann", "//ann", 1), strings.Replace(name, "/DLQ", "//DLQ", 1),
		strings.Replace(name, "/q", "/queue", 1),
	} {
		refusedSubscribe(t, brokertest.Connect(t, b, "login", "bob"), 4403, "not allowed to subscribe to the dead letters of another user", "destination", spelling)
	}
	c.Subscribe(t, "dead", name)
	wantMessages(t, c, "1")
}

// A client that comes back while the unused subscriptions are removed has a
// subscription: the old one or a new one.
func TestDurableComesBackWhenItIsRemoved(t *testing.T) {
	b := newBroker(t, withDurable(broker.Durable{Unused: time.Nanosecond}))
	c := brokertest.Connect(t, b, "login", "ann")
	meanwhile(t, func() { b.SweepDurables(time.Now().Add(time.Hour)) })
	for range 3000 {
		c.Subscribe(t, "s", "/topic/orders/eu", "durable", "inbox")
		if d := theDurable(t, b); d.Session != c.Session {
			t.Fatalf("the subscription is %+v", d)
		}
		c.Send("UNSUBSCRIBE", "", "id", "s")
	}
}
