package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// withDurableStore is withDurable with stores of queues and of durable
// subscriptions.
func withDurableStore(d broker.Durable, s *brokertest.DurableStore, q *brokertest.QueueStore) broker.Options {
	o := withDurable(d)
	o.DurableStore = s
	if q != nil {
		o.QueueStore = q
	}
	return o
}

// A broker that takes the place of one that was killed has its durable
// subscriptions, and what waits for them: what was acknowledged with a RECEIPT does
// not come again, and what a client may have seen says so.
func TestStoredDurableOutlivesTheBroker(t *testing.T) {
	store, queues := brokertest.NewDurableStore(), brokertest.NewQueueStore(broker.Queues{})
	d := broker.Durable{Messages: 7}
	b := brokertest.New(t, withDurableStore(d, store, queues))
	attach(t, b, "ann", "selector", "headers.no == null").Close()
	c := brokertest.Connect(t, b, "login", "bob")
	c.Subscribe(t, "s", "/topic/orders/**", "durable", "all", "ack", "client-individual", "prefetch-count", "3")
	for i := range 5 {
		publish(t, b, "/topic/orders/eu", fmt.Sprint(i))
	}
	got := wantMessages(t, c, "0", "1", "2")
	c.Send("ACK", "", "id", got[1].Get("ack"), "receipt", "a")
	c.Send("NACK", "", "id", got[2].Get("ack"), "receipt", "n")
	c.Sync(t)
	for i := 5; i < 8; i++ { // there is room for seven
		publish(t, b, "/topic/orders/eu", fmt.Sprint(i))
	}
	info := func(b *broker.Broker, user string) broker.DurableSubscription {
		t.Helper()
		for d := range b.DurableSubscriptions() {
			if d.User == user {
				d.Since, d.Created, d.Oldest, d.Session, d.Unacknowledged = d.Since.Round(0), d.Created.Round(0), 0, "", 0
				return d
			}
		}
		t.Fatalf("%s has no subscription", user)
		return broker.DurableSubscription{}
	}
	ann, bob := info(b, "ann"), info(b, "bob")

	store = store.Crash()
	b = brokertest.New(t, withDurableStore(d, store, queues))
	if now := info(b, "ann"); now != ann {
		t.Errorf("ann's subscription is %+v, it was %+v", now, ann)
	}
	now := info(b, "bob")
	if now.Since = bob.Since; now != bob {
		t.Errorf("bob's subscription is %+v, it was %+v", now, bob)
	}
	c = brokertest.Connect(t, b, "login", "bob")
	c.Subscribe(t, "s", "/topic/orders/**", "durable", "all", "ack", "client")
	for _, m := range wantMessages(t, c, "0", "2", "3", "4", "5", "6", "7") {
		wantHeaders(t, m, "redelivered", "true")
	}
	c = attach(t, b, "ann", "selector", "headers.no == null")
	for i, m := range wantMessages(t, c, "1", "2", "3", "4", "5", "6", "7") {
		says := "-"
		if i == 0 {
			says = "1"
		}
		wantHeaders(t, m, "redelivered", "-", "dropped", says) // she was away
	}
	refusedSubscribe(t, brokertest.Connect(t, b, "login", "bob"), 1002, "which cannot change", "destination", "/topic/orders/**", "durable", "all", "selector", "headers.k == 'v'")
}

// What a client may have seen before a crash still says so after a second one, in
// which no client came.
func TestStoredDurableCrashesTwice(t *testing.T) {
	store := brokertest.NewDurableStore()
	b := brokertest.New(t, withDurableStore(broker.Durable{}, store, nil))
	c := attach(t, b, "ann", "ack", "client")
	publish(t, b, "/topic/orders/eu", "1")
	wantMessages(t, c, "1")
	for range 2 {
		store = store.Crash()
		b = brokertest.New(t, withDurableStore(broker.Durable{}, store, nil))
		publish(t, b, "/topic/orders/eu", "2")
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	b = brokertest.New(t, withDurableStore(broker.Durable{}, store, nil))
	got := wantMessages(t, attach(t, b, "ann"), "1", "2", "2")
	wantHeaders(t, got[0], "redelivered", "true")
	wantHeaders(t, got[2], "redelivered", "-")
}

// A message is stored until all subscriptions that want it are done with it.
func TestStoredMessagesAreRemoved(t *testing.T) {
	store := brokertest.NewDurableStore()
	b := brokertest.New(t, withDurableStore(broker.Durable{}, store, nil))
	stored := func(want int) {
		t.Helper()
		brokertest.Eventually(t, fmt.Sprint(want, " messages are stored"), func() bool { return store.Messages() == want })
	}
	publish(t, b, "/topic/orders/eu", "nobody wants it")
	stored(0)
	ann, bob := attach(t, b, "ann", "ack", "client"), attach(t, b, "bob", "selector", "headers.k == 'v'")
	publish(t, b, "/topic/orders/eu", "1")
	send(t, brokertest.Connect(t, b), "/topic/orders/eu", "2", "k", "v")
	wantMessages(t, bob, "2")
	stored(2)
	got := wantMessages(t, ann, "1", "2")
	ann.Send("ACK", "", "id", got[0].Get("ack"), "receipt", "r")
	ann.Sync(t)
	stored(1)
	if err := b.DeleteDurable("ann", "inbox"); err != nil {
		t.Fatal(err)
	}
	ann.Send("SEND", "", "destination", "/topic/any") // over this transport a session is woken by its client
	stored(0)
}

// What is deleted stays deleted, and what comes after it has nothing of it.
func TestStoredDurableDeletionOutlivesTheBroker(t *testing.T) {
	store := brokertest.NewDurableStore()
	b := brokertest.New(t, withDurableStore(broker.Durable{}, store, nil))
	c := attach(t, b, "ann")
	attach(t, b, "bob").Close()
	attach(t, b, "eve").Close()
	publish(t, b, "/topic/orders/eu", "1")
	c.Send("UNSUBSCRIBE", "", "id", "s", "durable", "inbox", "receipt", "r")
	c.Sync(t)
	if err := b.DeleteDurable("eve", "inbox"); err != nil {
		t.Fatal(err)
	}
	attach(t, b, "eve").Close() // another one of the same name
	publish(t, b, "/topic/orders/eu", "2")
	b = brokertest.New(t, withDurableStore(broker.Durable{}, store.Crash(), nil))
	wantDurables(t, b, "bob:inbox", "eve:inbox")
	wantMessages(t, attach(t, b, "bob"), "1", "2")
	wantMessages(t, attach(t, b, "eve"), "2")
}

var errDurableStore = errors.New("no disk")

// A store that fails: a SEND is refused and delivered to nobody, a SUBSCRIBE makes
// no subscription, an ACK gets no RECEIPT. Afterwards everything goes on.
func TestStoredDurableFails(t *testing.T) {
	store := brokertest.NewDurableStore()
	b := brokertest.New(t, withDurableStore(broker.Durable{}, store, nil))
	ann := attach(t, b, "ann", "ack", "client")
	live := brokertest.Connect(t, b)
	live.Subscribe(t, "l", "/topic/orders/eu")
	publish(t, b, "/topic/orders/eu", "1")
	wantMessages(t, live, "1")
	m := expectMessage(t, ann, "1")

	store.Fail(errDurableStore)
	sender := brokertest.Connect(t, b)
	sender.Send("SEND", "2", "destination", "/topic/orders/eu")
	wantError(t, sender, 1011, "what was sent could not be stored")
	wantMessages(t, live)
	if err := b.Publish(context.Background(), &broker.Message{Destination: "/topic/orders/eu"}); !errors.Is(err, errDurableStore) {
		t.Errorf("Publish: %v", err)
	}
	publish(t, b, "/topic/other", "3") // is not stored
	refusedSubscribe(t, brokertest.Connect(t, b, "login", "bob"), 1011, "what was sent could not be stored", "destination", "/topic/orders/eu", "durable", "inbox")
	brokertest.Eventually(t, "bob has no subscription", func() bool {
		return !slices.ContainsFunc(slices.Collect(b.DurableSubscriptions()), func(d broker.DurableSubscription) bool { return d.User == "bob" })
	})
	ann.Send("ACK", "", "id", m.Get("ack"), "receipt", "a")
	wantError(t, ann, 1011, "what was sent could not be stored")
	store.Fail(nil)

	publish(t, b, "/topic/orders/eu", "4")
	wantMessages(t, live, "4")
	brokertest.Eventually(t, "ann is away", func() bool { return theDurable(t, b).Session == "" })
	wantMessages(t, attach(t, b, "ann"), "4")
}

// A message that no durable subscription wants does not overtake one that is being
// stored.
func TestStoredSendsKeepTheirOrder(t *testing.T) {
	store := brokertest.NewDurableStore()
	store.Late = true
	b := brokertest.New(t, withDurableStore(broker.Durable{}, store, nil))
	attach(t, b, "ann", "selector", "headers.k == 'v'").Close()
	live := brokertest.Connect(t, b)
	live.Subscribe(t, "l", "/topic/orders/eu")
	sender := brokertest.Connect(t, b)
	var want []string
	for i := range 200 {
		k := "w"
		if i%3 == 0 {
			k = "v"
		}
		sender.Send("SEND", fmt.Sprint(i), "destination", "/topic/orders/eu", "k", k)
		want = append(want, fmt.Sprint(i))
	}
	sender.Sync(t)
	wantMessages(t, live, want...)
}

// The SENDs of a transaction wait for the store too.
func TestStoredDurableInATransaction(t *testing.T) {
	store := brokertest.NewDurableStore()
	store.Late = true
	b := brokertest.New(t, withDurableStore(broker.Durable{}, store, nil))
	attach(t, b, "ann").Close()
	c := brokertest.Connect(t, b)
	c.Send("BEGIN", "", "transaction", "t")
	for i := range 3 {
		c.Send("SEND", fmt.Sprint(i), "destination", "/topic/orders/eu", "transaction", "t")
	}
	c.Send("COMMIT", "", "transaction", "t", "receipt", "r")
	c.ExpectReceipt(t, "r")
	if n := store.Messages(); n != 3 {
		t.Errorf("%d messages are stored", n)
	}
	wantMessages(t, attach(t, b, "ann"), "0", "1", "2")
}

// A selector that cannot be used any more loses no message.
func TestStoredDurableWithoutItsSelector(t *testing.T) {
	store := brokertest.NewDurableStore()
	b := brokertest.New(t, withDurableStore(broker.Durable{}, store, nil))
	attach(t, b, "ann", "selector", "headers.k == 'v'").Close()
	sender := brokertest.Connect(t, b)
	send(t, sender, "/topic/orders/eu", "1", "k", "v")
	send(t, sender, "/topic/orders/eu", "2")

	store = store.Crash()
	o := withDurableStore(broker.Durable{}, store, nil)
	o.Selector = nil
	b = brokertest.New(t, o)
	refusedSubscribe(t, brokertest.Connect(t, b, "login", "ann"), 4403, `the selector of the durable subscription "inbox" cannot be used now: this broker has no selectors`,
		"destination", "/topic/orders/eu", "durable", "inbox", "selector", "headers.k == 'v'")
	send(t, brokertest.Connect(t, b), "/topic/orders/eu", "3", "k", "v")
	send(t, brokertest.Connect(t, b), "/topic/orders/eu", "4")

	b = brokertest.New(t, withDurableStore(broker.Durable{}, store.Crash(), nil))
	wantMessages(t, attach(t, b, "ann", "selector", "headers.k == 'v'"), "1", "3")
}

// Failed deliveries count on after a restart, and the dead letter is the last
// trace of the message.
func TestStoredDurableAttemptsCountOn(t *testing.T) {
	store, queues := brokertest.NewDurableStore(), brokertest.NewQueueStore(broker.Queues{})
	o := withDurableStore(broker.Durable{}, store, queues)
	o.Queues.Attempts = 2
	b := brokertest.New(t, o)
	c := attach(t, b, "ann", "ack", "client-individual", "prefetch-count", "1")
	publish(t, b, "/topic/orders/eu", "bad")
	c.Send("NACK", "", "id", expectMessage(t, c, "bad").Get("ack"), "receipt", "n")
	c.Sync(t)

	store = store.Crash()
	o.DurableStore = store
	b = brokertest.New(t, o)
	c = attach(t, b, "ann", "ack", "client-individual")
	c.Send("NACK", "", "id", expectMessage(t, c, "bad").Get("ack"), "receipt", "n")
	c.Sync(t)
	c.Subscribe(t, "d", "/queue/DLQ.durable-subscription/ann/inbox")
	wantHeaders(t, expectMessage(t, c, "bad"), "delivery-attempts", "2")
	brokertest.Eventually(t, "nothing is stored", func() bool { return store.Messages() == 0 })
}
