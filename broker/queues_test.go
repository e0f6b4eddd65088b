package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestQueueHandsEachMessageToOneConsumer(t *testing.T) {
	b := newBroker(t, broker.Options{})
	sender := brokertest.Connect(t, b)
	var consumers []*brokertest.Client
	for range 3 {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/queue/jobs")
		consumers = append(consumers, c)
	}
	for i := range 9 {
		send(t, sender, "/queue/jobs", fmt.Sprint(i))
	}
	for i, c := range consumers { // they take turns
		for _, m := range wantMessages(t, c, fmt.Sprint(i), fmt.Sprint(i+3), fmt.Sprint(i+6)) {
			wantHeaders(t, m, "destination", "/queue/jobs", "subscription", "s", "redelivered", "-")
		}
	}
}

func TestQueueKeepsMessagesWhileNobodyConsumes(t *testing.T) {
	b := newBroker(t, broker.Options{})
	sender := brokertest.Connect(t, b)
	for _, body := range []string{"1", "2", "3"} {
		send(t, sender, "/queue/jobs", body, "content-type", "text/plain", "k", body)
	}
	sender.Close()
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/jobs")
	for _, m := range wantMessages(t, c, "1", "2", "3") {
		wantHeaders(t, m, "content-type", "text/plain", "k", string(m.Body))
	}
	c.Send("UNSUBSCRIBE", "", "id", "s")
	c.Sync(t)
	send(t, brokertest.Connect(t, b), "/queue/jobs", "4")
	c.Subscribe(t, "s", "/queue/jobs")
	wantMessages(t, c, "4")
}

// Names of queues are literal: what looks like a pattern elsewhere never leaks.
func TestQueuesAreSeparate(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "1", "/queue/a")
	c.Subscribe(t, "2", "/queue/a/b")
	c.Subscribe(t, "3", "/topic/**")
	publish(t, b, "/queue/a", "a")
	publish(t, b, "/queue/A", "A")
	publish(t, b, "/queue/b", "b")
	wantMessages(t, c, "a")
}

func TestPrefetch(t *testing.T) {
	for _, mode := range []string{"client", "client-individual"} {
		t.Run(mode, func(t *testing.T) {
			o := broker.Options{}
			o.Queues.Prefetch = 3
			b := newBroker(t, o)
			publishJobs(t, b, "/queue/jobs", 5)
			c := brokertest.Connect(t, b)
			c.Subscribe(t, "few", "/queue/jobs", "ack", mode, "prefetch-count", "2")
			got := wantMessages(t, c, "1", "2")
			answer(c, "1.2", "ACK", got[0])
			wantMessages(t, c, "3")
			other := brokertest.Connect(t, b)
			other.Subscribe(t, "default", "/queue/jobs", "ack", mode)
			wantMessages(t, other, "4", "5")
			publish(t, b, "/queue/jobs", "6")
			publish(t, b, "/queue/jobs", "7")
			wantMessages(t, other, "6")
			wantMessages(t, c) // a consumer at its limit gets nothing
			if d := destination(b, "/queue/jobs"); d.Messages != 6 || d.Unacknowledged != 5 || d.Subscriptions != 2 {
				t.Errorf("the queue is %+v", d)
			}
		})
	}
}

func TestPrefetchDoesNotBindAuto(t *testing.T) {
	b := newBroker(t, broker.Options{})
	jobs := publishJobs(t, b, "/queue/jobs", 5)
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/jobs", "prefetch-count", "2")
	wantMessages(t, c, jobs...)
}

func TestSessionLossReturnsMessagesInOrder(t *testing.T) {
	b := newBroker(t, broker.Options{})
	publishJobs(t, b, "/queue/jobs", 5)
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual", "prefetch-count", "4")
	got := wantMessages(t, c, "1", "2", "3", "4")
	answer(c, "1.2", "ACK", got[2])
	wantMessages(t, c, "5")
	publish(t, b, "/queue/jobs", "6")
	c.Close()

	next := brokertest.Connect(t, b)
	next.Subscribe(t, "s", "/queue/jobs")
	for i, m := range wantMessages(t, next, "1", "2", "4", "5", "6") {
		redelivered := "true"
		if i == 4 {
			redelivered = "-"
		}
		wantHeaders(t, m, "redelivered", redelivered)
	}
}

func TestUnsubscribeReturnsMessagesToOthers(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/jobs", "ack", "client")
	jobs := publishJobs(t, b, "/queue/jobs", 3)
	wantMessages(t, c, jobs...)
	other.Subscribe(t, "s", "/queue/jobs")
	wantMessages(t, other)
	c.Send("UNSUBSCRIBE", "", "id", "s")
	wantMessages(t, c)
	wantMessages(t, other, jobs...)
}

func TestNackGoesToAnotherConsumer(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual")
	publish(t, b, "/queue/jobs", "1")
	m := wantMessages(t, c, "1")[0]
	other.Subscribe(t, "s", "/queue/jobs")
	answer(c, "1.2", "NACK", m)
	wantMessages(t, c)
	wantHeaders(t, wantMessages(t, other, "1")[0], "redelivered", "true", "message-id", m.Get("message-id"))
}

func TestDeadLetters(t *testing.T) {
	o := broker.Options{}
	o.Queues.Attempts = 3
	b := newBroker(t, o)
	sender, c := brokertest.Connect(t, b), brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/jobs/eu", "ack", "client-individual")
	// A client cannot lie about where a dead letter came from (trap 14).
	send(t, sender, "/queue/jobs/eu", "poison", "k", "v", "original-destination", "/queue/forged", "delivery-attempts", "99")
	var id string
	for attempt := range 3 {
		m := wantMessages(t, c, "poison")[0]
		id = m.Get("message-id")
		want := "true"
		if attempt == 0 {
			want = "-"
		}
		wantHeaders(t, m, "redelivered", want)
		answer(c, "1.2", "NACK", m)
	}
	wantMessages(t, c)

	c.Subscribe(t, "dead", "/queue/DLQ.jobs/eu", "ack", "client-individual")
	for attempt := range 5 { // where it stays, however often it is refused
		m := wantMessages(t, c, "poison")[0]
		if attempt == 0 {
			wantHeaders(t, m, "destination", "/queue/DLQ.jobs/eu", "message-id", id, "k", "v",
				"original-destination", "/queue/jobs/eu", "delivery-attempts", "3", "redelivered", "-")
		}
		answer(c, "1.2", "NACK", m)
	}
	answer(c, "1.2", "ACK", wantMessages(t, c, "poison")[0])
	c.Sync(t)
	if n := b.Stats().QueueMessages; n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

func TestDeadLetterAfterLostSessions(t *testing.T) {
	o := broker.Options{}
	o.Queues.Attempts = 2
	b := newBroker(t, o)
	publish(t, b, "/queue/jobs", "crashes its consumer")
	for range 2 {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/queue/jobs", "ack", "client")
		wantMessages(t, c, "crashes its consumer")
		c.Close()
	}
	if d := destination(b, "/queue/DLQ.jobs"); d.Messages != 1 {
		t.Errorf("the dead letter queue is %+v", d)
	}
}

func TestFullQueueRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, message string
		queues        broker.Queues
	}{
		{"messages", "at most 2 messages per queue", broker.Queues{Messages: 2}},
		{"bytes", "at most 900 bytes per queue", broker.Queues{Bytes: 900}},
		{"bytes of all", "at most 900 bytes in all queues", broker.Queues{TotalBytes: 900}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBroker(t, broker.Options{Queues: tc.queues})
			body := strings.Repeat("x", 150)
			sender := brokertest.Connect(t, b)
			send(t, sender, "/queue/jobs", "1"+body)
			send(t, sender, "/queue/jobs", "2"+body)
			sender.Send("SEND", "3"+body, "destination", "/queue/jobs", "receipt", "r3")
			wantHeaders(t, wantError(t, sender, 4429, tc.message), "receipt-id", "r3")
			err := b.Publish(t.Context(), &broker.Message{Destination: "/queue/jobs", Body: []byte(body)})
			if !errors.Is(err, broker.ErrQueueFull) || !strings.Contains(err.Error(), tc.message) {
				t.Errorf("Publish returned %v, want ErrQueueFull with %q", err, tc.message)
			}
			c := brokertest.Connect(t, b)
			c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual")
			answer(c, "1.2", "ACK", wantMessages(t, c, "1"+body, "2"+body)[0]) // nothing was dropped for it
			c.Sync(t)
			publish(t, b, "/queue/jobs", "4") // and now there is room
			wantMessages(t, c, "4")
		})
	}
}

func TestTooManyQueues(t *testing.T) {
	b := newBroker(t, broker.Options{Queues: broker.Queues{Queues: 1}})
	publish(t, b, "/queue/a", "x")
	c := brokertest.Connect(t, b)
	c.Send("SUBSCRIBE", "", "id", "1", "destination", "/queue/b", "receipt", "r")
	wantHeaders(t, wantError(t, c, 4429, "at most 1 queues"), "receipt-id", "r")
	c = brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/a")
	wantMessages(t, c, "x")
	c.Close()
	publish(t, b, "/queue/b", "y") // an empty queue without consumers is none
}

func TestQueueModeBroadcast(t *testing.T) {
	b := newBroker(t, broker.Options{Queues: broker.Queues{Mode: broker.QueueBroadcast}})
	sender, c, d := brokertest.Connect(t, b), brokertest.Connect(t, b), brokertest.Connect(t, b)
	send(t, sender, "/queue/a", "nobody keeps it")
	c.Subscribe(t, "s", "/queue/a", "ack", "client")
	d.Subscribe(t, "s", "/queue/*")
	send(t, sender, "/queue/a", "1")
	publish(t, b, "/queue/a", "2")
	wantHeaders(t, wantMessages(t, d, "1", "2")[0], "destination", "/queue/a")
	answer(c, "1.2", "NACK", wantMessages(t, c, "1", "2")[1])
	wantMessages(t, c) // nothing comes back
}

// A consumer with ack:auto that reads slowly gets everything in the end: the
// queue waits for room in its outbox, which never overflows.
func TestSlowAutoConsumerGetsEverything(t *testing.T) {
	const messages, size = 2000, 1000
	o := broker.Options{}
	o.Limits.Outbox, o.Limits.Frame = 64<<10, 32<<10
	b := newBroker(t, o)
	c := connectSlow(t, b)
	c.send(frame("SUBSCRIBE", "", "id", "s", "destination", "/queue/jobs", "receipt", "1"))
	if f := c.next(t); f.Command != "RECEIPT" {
		t.Fatalf("got %v", f)
	}
	body := strings.Repeat("x", size)
	for i := range messages { // 2 MB for an outbox of 64 KiB
		publish(t, b, "/queue/jobs", fmt.Sprintf("%d %s", i, body))
	}
	if waiting := b.Stats().QueueMessages; waiting < messages/2 {
		t.Errorf("only %d of %d messages wait in the queue: they went to a client that reads nothing", waiting, messages)
	}
	for i := range messages {
		f := c.next(t)
		if want := fmt.Sprintf("%d %s", i, body); string(f.Body) != want {
			t.Fatalf("message %d is %s %.20q", i, f.Command, f.Body)
		}
	}
}

// Consumers that come and go in good order: UNSUBSCRIBE loses nothing that was
// not handed over, and hands nothing over twice.
func TestQueueConsumersComeAndGo(t *testing.T) {
	const messages, workers = 3000, 3
	b := newBroker(t, broker.Options{})
	var mu sync.Mutex
	seen := make(map[string]int)
	var publisher sync.WaitGroup
	publisher.Go(func() {
		for i := range messages {
			if err := b.Publish(context.Background(), &broker.Message{Destination: "/queue/jobs", Body: fmt.Append(nil, i)}); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("consumers", func(t *testing.T) {
		for worker := range workers {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				c := brokertest.Connect(t, b)
				for round := range 100 {
					id := fmt.Sprint(round)
					c.Subscribe(t, id, "/queue/jobs")
					c.Send("UNSUBSCRIBE", "", "id", id)
					for _, body := range bodiesOf(t, c.Sync(t)) {
						mu.Lock()
						seen[body]++
						mu.Unlock()
					}
				}
			})
		}
	})
	testkit.Wait(t, &publisher)
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "rest", "/queue/jobs")
	for rest := b.Stats().QueueMessages; rest > 0; rest = b.Stats().QueueMessages {
		for _, body := range bodiesOf(t, c.Sync(t)) {
			seen[body]++
		}
	}
	for _, body := range bodiesOf(t, c.Sync(t)) {
		seen[body]++
	}
	for i := range messages {
		if n := seen[fmt.Sprint(i)]; n != 1 {
			t.Fatalf("message %d was delivered %d times", i, n)
		}
	}
}

// destination returns what the broker says of one destination.
func destination(b *broker.Broker, name string) broker.DestinationInfo {
	for d := range b.Destinations() {
		if d.Name == name {
			return d
		}
	}
	return broker.DestinationInfo{}
}
