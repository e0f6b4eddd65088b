package broker_test

import (
	"fmt"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

func TestSimpleBrokerMessageHandler_Broadcast(t *testing.T) {
	b := newBroker(t, broadcast())
	for _, destination := range []string{"/topic/a", "/queue/a"} {
		one, two := brokertest.Connect(t, b), brokertest.Connect(t, b)
		one.Subscribe(t, "s", destination)
		two.Subscribe(t, "s", destination)
		one.Send("SEND", "hello", "destination", destination) // straight to the broker, and to oneself
		wantMessages(t, one, "hello")
		wantHeaders(t, wantMessages(t, two, "hello")[0], "destination", destination, "subscription", "s")
	}
}

// Spring's /queue is a second /topic; here it is so only in QueueBroadcast mode.
func TestSimpleBrokerMessageHandler_QueuesAreWorkQueues_Differs(t *testing.T) {
	b := newBroker(t, broker.Options{})
	publish(t, b, "/queue/a", "kept while nobody consumes")
	one, two := brokertest.Connect(t, b), brokertest.Connect(t, b)
	one.Subscribe(t, "s", "/queue/a")
	two.Subscribe(t, "s", "/queue/a")
	publish(t, b, "/queue/a", "for one of them")
	if n := len(one.Sync(t)) + len(two.Sync(t)); n != 2 {
		t.Errorf("%d deliveries, want each message once", n)
	}
}

func TestSimpleBrokerMessageHandler_DisconnectedIsForgotten(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b, "login", "alice")
	c.Subscribe(t, "s", "/topic/a")
	c.Close()
	if st := b.Stats(); st.Sessions != 0 || st.Subscriptions != 0 || st.Users != 0 {
		t.Errorf("left over: %+v", st)
	}
}

// Spring gives a RECEIPT for DISCONNECT only.
func TestSimpleBrokerMessageHandler_Receipts_Differs(t *testing.T) {
	c := brokertest.Connect(t, newBroker(t, broker.Options{}))
	for i, f := range [][]string{
		{"SUBSCRIBE", "id", "s", "destination", "/topic/a"},
		{"SEND", "destination", "/topic/b"},
		{"BEGIN", "transaction", "t"},
		{"SEND", "destination", "/topic/b", "transaction", "t"},
		{"COMMIT", "transaction", "t"},
		{"BEGIN", "transaction", "t"},
		{"ABORT", "transaction", "t"},
		{"ACK", "id", "late"},
		{"NACK", "id", "late"},
		{"UNSUBSCRIBE", "id", "s"},
		{"DISCONNECT"},
	} {
		receipt := fmt.Sprint(i)
		c.Send(f[0], "", append([]string{"receipt", receipt}, f[1:]...)...)
		c.ExpectReceipt(t, receipt)
	}
}

// Spring handles the frames of one client in parallel unless it is told not to,
// so that a SUBSCRIBE may come after the SEND behind it.
func TestSimpleBrokerMessageHandler_OrderKept_Differs(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
	other.Subscribe(t, "s", "/topic/a")
	c.Write(encode(frame("SUBSCRIBE", "", "id", "s", "destination", "/topic/a"), frame("SEND", "0", "destination", "/topic/a")))
	want := []string{"0"}
	for i := 1; i < 200; i++ {
		c.Send("SEND", fmt.Sprint(i), "destination", "/topic/a")
		want = append(want, fmt.Sprint(i))
	}
	wantMessages(t, c, want...)
	wantMessages(t, other, want...)
}

// Spring ignores `transaction`, so that an ABORT takes nothing back.
func TestSimpleBrokerMessageHandler_Transactions_Differs(t *testing.T) {
	c := brokertest.Connect(t, newBroker(t, broker.Options{}))
	c.Subscribe(t, "s", "/topic/a")
	c.Send("BEGIN", "", "transaction", "t")
	c.Send("SEND", "taken back", "destination", "/topic/a", "transaction", "t")
	c.Send("ABORT", "", "transaction", "t")
	wantMessages(t, c)
}

// Spring ignores ACK and NACK, and a MESSAGE has no `ack` header.
func TestSimpleBrokerMessageHandler_Acknowledgements_Differs(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/a", "ack", "client-individual")
	publish(t, b, "/queue/a", "x")
	c.Send("NACK", "", "id", expectMessage(t, c, "x").Get("ack"))
	wantHeaders(t, expectMessage(t, c, "x"), "redelivered", "true")
}

// Spring drops these with, at most, a line in its own log.
func TestSimpleBrokerMessageHandler_NothingIsDroppedSilently_Differs(t *testing.T) {
	for name, tc := range map[string]struct {
		frame   []string
		code    int
		message string
	}{
		"a SUBSCRIBE without id":               {[]string{"SUBSCRIBE", "destination", "/topic/a"}, 1002, "SUBSCRIBE without an id header"},
		"a SUBSCRIBE without destination":      {[]string{"SUBSCRIBE", "id", "new"}, 1002, "SUBSCRIBE without a destination header"},
		"a subscription id that is in use":     {[]string{"SUBSCRIBE", "id", "taken", "destination", "/topic/b"}, 1002, `subscription id "taken" is already in use`},
		"a SEND without destination":           {[]string{"SEND"}, 1002, "SEND without a destination header"},
		"a destination without known prefix":   {[]string{"SEND", "destination", "/news/a"}, 1002, "/topic/"},
		"a prefix that is half a segment":      {[]string{"SEND", "destination", "/topicx/a"}, 1002, "/topic/"},
		"a SEND to a pattern":                  {[]string{"SEND", "destination", "/topic/*"}, 1002, "a message cannot be sent to a pattern"},
		"an UNSUBSCRIBE without id":            {[]string{"UNSUBSCRIBE", "destination", "/topic/a"}, 1002, "UNSUBSCRIBE without an id header"},
		"an /app destination nobody handles":   {[]string{"SEND", "destination", "/app/nobody"}, 4403, "nothing handles messages for this destination"},
		"a COMMIT of what was not begun":       {[]string{"COMMIT", "transaction", "t"}, 1002, "transaction"},
		"an ack mode that STOMP does not have": {[]string{"SUBSCRIBE", "id", "new", "destination", "/topic/a", "ack", "dups-ok"}, 1002, "ack must be"},
	} {
		t.Run(name, func(t *testing.T) {
			c := brokertest.Connect(t, newBroker(t, broker.Options{}))
			c.Subscribe(t, "taken", "/topic/a")
			c.Send(tc.frame[0], "", append(tc.frame[1:], "receipt", "r")...)
			wantHeaders(t, wantError(t, c, tc.code, tc.message), "receipt-id", "r")
		})
	}
}

func TestDefaultSubscriptionRegistry_UnknownUnsubscribe(t *testing.T) {
	c := brokertest.Connect(t, newBroker(t, broker.Options{}))
	c.Send("UNSUBSCRIBE", "", "id", "unknown")
	wantMessages(t, c) // and it lives
}

func TestDefaultSubscriptionRegistry_OverlappingSubscriptions(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "literal", "/topic/a")
	c.Subscribe(t, "pattern", "/topic/*")
	publish(t, b, "/topic/a", "x")
	list := wantMessages(t, c, "x", "x")
	if one, two := list[0].Get("subscription"), list[1].Get("subscription"); one == two {
		t.Errorf("both copies are for %s", one)
	}
}

func TestDefaultSubscriptionRegistry_AntPatterns(t *testing.T) {
	for _, tc := range []struct {
		pattern, destination string
		match                bool
	}{
		{"/topic/*", "/topic/a", true},
		{"/topic/*", "/topic/a/b", false},
		{"/topic/a*", "/topic/a", true},
		{"/topic/a*c", "/topic/abc", true},
		{"/topic/?", "/topic/a", true},
		{"/topic/?", "/topic/ab", false},
		{"/topic/a?c", "/topic/ac", false},
		{"/topic/**", "/topic/a/b/c", true},
		{"/topic/a/**", "/topic/a", true},
		{"/topic/a/**", "/topic/ab", false},
		{"/topic/**/c", "/topic/c", true},
		{"/topic/**/c", "/topic/a/b/c", true},
		{"/topic/*/b/**", "/topic/a/b/c/d", true},
		{"/topic/*/b/**", "/topic/a/c/b", false},
		{"/topic/**/b/*", "/topic/a/b/c", true},
		{"/topic/*.quote", "/topic/gold.quote", true},
		{"/topic/A*", "/topic/a", false}, // case counts
		{"/queue/*", "/topic/a", false},
		{"/queue/**", "/queue/a/b", true},
	} {
		t.Run(tc.pattern+" "+tc.destination, func(t *testing.T) {
			b := newBroker(t, broadcast())
			c := brokertest.Connect(t, b)
			c.Subscribe(t, "s", tc.pattern)
			publish(t, b, tc.destination, "x")
			if !tc.match {
				wantMessages(t, c)
				return
			}
			wantHeaders(t, wantMessages(t, c, "x")[0], "destination", tc.destination, "subscription", "s")
		})
	}
}

// Spring's {name} and {name:regex} match a segment; here they are literal, and *
// is what matches a segment.
func TestDefaultSubscriptionRegistry_TemplateVariables_Differs(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/{name}")
	publish(t, b, "/topic/a", "to a segment")
	publish(t, b, "/topic/{name}", "to the very name")
	wantMessages(t, c, "to the very name")
}
