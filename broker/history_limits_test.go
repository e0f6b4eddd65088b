package broker_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// A new policy changes the limits of a history. What is kept stays if it is
// within them, and what recovers says so.
func TestHistoryLimitsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, withHistory(5, "/topic/a", "/topic/b/**"))
		set := func(h broker.History) {
			t.Helper()
			setPolicy(t, b, broker.Policy{Authorizer: auth.Open(), History: []broker.History{{Destination: "/topic/a"}, h}})
		}
		c := brokertest.Connect(t, b)
		publish(t, b, "/topic/b/1", "1") // with this number
		epoch := epochOf(t, b, "/topic/b/1")
		wants := func(offset, recovered string, bodies ...string) {
			t.Helper()
			if r := subscribeFrom(t, c, "s", "/topic/b/1", "offset", offset); r.Get("recovered") != recovered {
				t.Errorf("from %s: recovered:%s, want %s", offset, r.Get("recovered"), recovered)
			}
			wantMessages(t, c, bodies...)
			c.Send("UNSUBSCRIBE", "", "id", "s", "receipt", "u")
			c.Expect(t, "RECEIPT")
		}
		for _, body := range strings.Fields("2 3 4 5 6") {
			publish(t, b, "/topic/b/1", body)
		}
		wants(epoch+":1", "true", "2", "3", "4", "5", "6")

		set(broker.History{Destination: "/topic/b/**", Messages: 3})
		wants(epoch+":1", "false", "4", "5", "6")
		wants(epoch+":3", "true", "4", "5", "6")

		set(broker.History{Destination: "/topic/b/**", Messages: 4})
		publish(t, b, "/topic/b/1", "7")
		publish(t, b, "/topic/b/1", "8")
		wants("first", "false", "5", "6", "7", "8")

		time.Sleep(time.Minute)
		publish(t, b, "/topic/b/1", "9")
		set(broker.History{Destination: "/topic/b/**", Messages: 4, Age: 30 * time.Second}) // there was no age before
		wants(epoch+":8", "true", "9")
		time.Sleep(time.Minute)
		if n := b.Stats().HistoryMessages; n != 0 {
			t.Errorf("%d messages are kept after their time", n)
		}
		publish(t, b, "/topic/b/1", "10")
		publish(t, b, "/topic/b/1", strings.Repeat("x", 8<<10))
		set(broker.History{Destination: "/topic/b/**", Bytes: 4 << 10})
		wants("first", "false")

		setPolicy(t, b, broker.Policy{Authorizer: auth.Open()}) // leaves it
		publish(t, b, "/topic/b/1", strings.Repeat("x", 8<<10))
		wants("first", "false")
	})
}

// The destinations of a history cannot change, and nothing changes with them.
func TestHistoryDestinationsStay(t *testing.T) {
	b := newBroker(t, withHistory(2, "/topic/a", "/topic/b"))
	for want, p := range map[string]broker.Policy{
		"Options.History: 1 entries, but the broker runs with 2":                                  {History: withHistory(1, "/topic/a").History},
		"Options.History[0].Destination: \"/topic/b\", but the broker runs with \"/topic/a\"":     {History: withHistory(1, "/topic/b", "/topic/a").History},
		"Options.History[1].Bytes: 1048576 bytes, with those of the entries before, exceed the 1": {History: withHistory(1, "/topic/a", "/topic/b").History, HistoryBytes: 1 << 20},
	} {
		if err := b.SetPolicy(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	publish(t, b, "/topic/a", "1")
	publish(t, b, "/topic/a", "2")
	c := brokertest.Connect(t, b)
	subscribeFrom(t, c, "s", "/topic/a", "offset", "first")
	wantMessages(t, c, "1", "2")
}
