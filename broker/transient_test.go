package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// transient are the options of a broker behind which Spring's relay works: the
// queues that it makes for each session are not kept. The limits are such that
// a queue which is kept would soon be noticed.
func transient(patterns ...string) broker.Options {
	if len(patterns) == 0 {
		patterns = []string{"/queue/*-user*"}
	}
	return broker.Options{Queues: broker.Queues{Transient: patterns, Queues: 2, Messages: 3}}
}

// An application behind Spring's relay sends to sessions that have just gone, all
// over the one connection that its other users depend on.
func TestTransientQueuesOfDeadSessions(t *testing.T) {
	const sessions = 2000
	b := newBroker(t, transient())
	system, alive := brokertest.Connect(t, b), brokertest.Connect(t, b)
	alive.Subscribe(t, "sub-0", "/queue/replies-useralive")
	for i := range sessions {
		name := fmt.Sprint("/queue/replies-user", i)
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "sub-0", name)
		system.Send("SEND", "before", "destination", name, "simpOrigDestination", "/user/queue/replies")
		system.Sync(t)
		wantHeaders(t, expectMessage(t, c, "before"), "destination", name, "subscription", "sub-0", "simpOrigDestination", "/user/queue/replies")
		c.Close()
		send(t, system, name, "after")
	}
	send(t, system, "/queue/replies-useralive", "still here")
	wantMessages(t, alive, "still here")
	if st := b.Stats(); st.QueueMessages != 0 || st.QueueBytes != 0 || st.Published != 2*sessions+1 || st.Delivered != sessions+1 || st.Ended["limit"] != 0 {
		t.Errorf("left behind: %+v", st)
	}
	for d := range b.Destinations() {
		if d.Name != "/queue/replies-useralive" {
			t.Fatalf("left behind: %+v", d)
		}
	}
}

// What is sent goes to everybody who is there, in order, and to nobody later.
func TestTransientQueueIsATopic(t *testing.T) {
	b := newBroker(t, transient())
	sender, one, two := brokertest.Connect(t, b), brokertest.Connect(t, b), brokertest.Connect(t, b)
	send(t, sender, "/queue/a-userx", "to nobody")
	one.Subscribe(t, "s", "/queue/a-userx")
	two.Subscribe(t, "s", "/queue/a-userx", "ack", "client", "prefetch-count", "1")
	for i := range 5 { // more than a queue may hold, and than the prefetch
		send(t, sender, "/queue/a-userx", fmt.Sprint(i))
	}
	wantMessages(t, one, "0", "1", "2", "3", "4")
	got := wantMessages(t, two, "0", "1", "2", "3", "4")
	if d := destination(b, "/queue/a-userx"); d.Subscriptions != 2 || d.Messages != 0 || d.Unacknowledged != 0 {
		t.Errorf("the destination is %+v", d)
	}
	answer(two, "1.2", "NACK", got[4])
	wantMessages(t, two) // nothing comes back
	one.Send("UNSUBSCRIBE", "", "id", "s")
	two.Close()
	wantMessages(t, one)
	send(t, sender, "/queue/a-userx", "to nobody again")
	one.Subscribe(t, "s", "/queue/a-userx")
	wantMessages(t, one)

	// Subscriptions are no queues either, whatever their number.
	for i := range 5 {
		one.Subscribe(t, fmt.Sprint(i), fmt.Sprint("/queue/a-user", i))
	}
	send(t, sender, "/queue/a-user3", "x")
	wantHeaders(t, wantMessages(t, one, "x")[0], "subscription", "3", "redelivered", "-")
}

func TestTransientQueuesLeaveOthersAlone(t *testing.T) {
	b := newBroker(t, transient("/queue/*-user*", "/queue/exactly"))
	sender := brokertest.Connect(t, b)
	for _, name := range []string{"/queue/exactly", "/queue/a-user1"} {
		send(t, sender, name, "to nobody")
	}
	for _, name := range []string{"/queue/exactly/not", "/queue/a-user1/b"} { // of another depth
		send(t, sender, name, "kept")
		if d := destination(b, name); d.Messages != 1 {
			t.Errorf("%s is %+v, want a message", name, d)
		}
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "s", name, "ack", "client-individual")
		m := wantMessages(t, c, "kept")[0]
		answer(c, "1.2", "NACK", m)
		answer(c, "1.2", "ACK", wantMessages(t, c, "kept")[0])
		wantMessages(t, c)
		c.Close()
	}
	for range 3 {
		send(t, sender, "/queue/jobs", "x")
	}
	sender.Send("SEND", "x", "destination", "/queue/jobs", "receipt", "r")
	wantHeaders(t, wantError(t, sender, 4429, "at most 3 messages per queue"), "receipt-id", "r")
}

// Receipts say for a transient queue what they say for a topic.
func TestTransientQueueReceipts(t *testing.T) {
	b := newBroker(t, transient())
	c := brokertest.Connect(t, b)
	c.Send("SUBSCRIBE", "", "id", "s", "destination", "/queue/a-user1", "receipt", "1")
	c.ExpectReceipt(t, "1")
	c.Send("SEND", "mine", "destination", "/queue/a-user1", "receipt", "2")
	expectMessage(t, c, "mine")
	c.ExpectReceipt(t, "2")
	c.Send("BEGIN", "", "transaction", "t", "receipt", "3")
	c.Send("SEND", "later", "destination", "/queue/a-user1", "transaction", "t", "receipt", "4")
	c.ExpectReceipt(t, "3")
	c.ExpectReceipt(t, "4")
	c.Send("COMMIT", "", "transaction", "t", "receipt", "5")
	expectMessage(t, c, "later")
	c.ExpectReceipt(t, "5")
	c.Send("UNSUBSCRIBE", "", "id", "s", "receipt", "6")
	c.Send("SEND", "nobody", "destination", "/queue/a-user1", "receipt", "7")
	c.ExpectReceipt(t, "6")
	c.ExpectReceipt(t, "7")
}

func TestTransientQueueInProcess(t *testing.T) {
	b := newBroker(t, transient())
	publish(t, b, "/queue/a-user1", "to nobody")
	got := collect(t, b, "/queue/a-user1")
	calls := make(chan *broker.Message, 10)
	failing := subscribe(t, b, "/queue/a-user1", broker.SubscribeOptions{}, func(_ context.Context, m *broker.Message) error {
		calls <- m
		return errors.New("logged, and no more")
	})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/a-user1")
	for _, body := range []string{"1", "2"} {
		publish(t, b, "/queue/a-user1", body)
	}
	send(t, brokertest.Connect(t, b), "/queue/a-user1", "3")
	wantMessages(t, c, "1", "2", "3")
	for _, body := range []string{"1", "2", "3"} {
		for _, m := range []*broker.Message{testkit.Receive(t, got), testkit.Receive(t, calls)} {
			if string(m.Body) != body || m.Redelivered || m.Destination != "/queue/a-user1" {
				t.Errorf("received %+v, want %s", m, body)
			}
		}
	}
	failing.Cancel()
	testkit.Receive(t, failing.Done())
	if d := destination(b, "/queue/a-user1"); d.Subscriptions != 2 || len(calls) != 0 {
		t.Errorf("the destination is %+v, %d more calls", d, len(calls))
	}
}

func TestTransientQueueSelector(t *testing.T) {
	o := transient()
	o.Selector = func(expression string) (func(*broker.Message) bool, error) {
		return func(m *broker.Message) bool { return m.Header("region") == expression }, nil
	}
	b := newBroker(t, o)
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/a-user1", "selector", "eu")
	sender := brokertest.Connect(t, b)
	send(t, sender, "/queue/a-user1", "no", "region", "us")
	send(t, sender, "/queue/a-user1", "yes", "region", "eu")
	wantMessages(t, c, "yes")
	c.Send("SUBSCRIBE", "", "id", "w", "destination", "/queue/jobs", "selector", "eu")
	wantError(t, c, 4403, "a work queue shares its messages out and has no selector")
}

// Nobody can tell whether a pattern leaves kept queues alone, but for one that
// is written like one of ours, and that would reveal the queues of all sessions.
func TestTransientQueuePatternIsRefused(t *testing.T) {
	b := newBroker(t, transient())
	for _, pattern := range []string{"/queue/*-user*", "/queue/*-user1", "/queue/**"} {
		c := brokertest.Connect(t, b)
		c.Send("SUBSCRIBE", "", "id", "s", "destination", pattern)
		wantError(t, c, 4403, "a queue subscription names one queue, not a pattern")
		if _, err := b.Subscribe(t.Context(), pattern, broker.SubscribeOptions{}, func(context.Context, *broker.Message) error { return nil }); err == nil {
			t.Errorf("the program subscribed to %s", pattern)
		}
	}
	o := transient()
	o.Queues.Mode = broker.QueueBroadcast // where any queue is a topic
	b = newBroker(t, o)
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/*-user*")
	publish(t, b, "/queue/a-user1", "x")
	publish(t, b, "/queue/a", "y")
	wantMessages(t, c, "x")
}

// Dead letters are kept though their queue has a name like a transient one.
func TestTransientQueuesAreNotOfDeadLetters(t *testing.T) {
	o := transient("/queue/*.user*", "/queue/D*")
	o.Queues.Attempts = 1
	b := newBroker(t, o)
	c := brokertest.Connect(t, b)
	publish(t, b, "/queue/Dxy", "to nobody")
	publish(t, b, "/queue/user1", "poison")
	c.Subscribe(t, "s", "/queue/user1", "ack", "client-individual")
	answer(c, "1.2", "NACK", wantMessages(t, c, "poison")[0])
	wantMessages(t, c)
	if d := destination(b, "/queue/DLQ.user1"); d.Messages != 1 {
		t.Errorf("the queue of dead letters is %+v", d)
	}
	c.Subscribe(t, "dead", "/queue/DLQ.user1")
	wantHeaders(t, wantMessages(t, c, "poison")[0], "original-destination", "/queue/user1")
}

func TestTransientPatternsAreChecked(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                                     "must begin with",
		"queue/a":                              "must begin with",
		"/queue/":                              "names nothing behind its prefix",
		"/queue/a\n":                           "control character",
		"/queue/?" + strings.Repeat("x", 1000): "characters",
		"/topic/a*":                            "does not begin with /queue/",
		"/user/queue/a":                        "does not begin with /queue/",
		"/**":                                  "must begin with",
		"/queue/DLQ.*":                         "dead letters are always kept",
	} {
		_, err := broker.New(transient("/queue/good*", pattern))
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("Options.Queues.Transient: %q", pattern)) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", pattern, err, want)
		}
	}
}
