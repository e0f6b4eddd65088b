package broker_test

import (
	"context"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// Whatever publishes: transactions, the program, the admin API.
func TestH9EveryPublisherIsKept(t *testing.T) {
	b := newBroker(t, withHistory(10, "/topic/prices/**"))
	c := brokertest.Connect(t, b)
	c.Send("BEGIN", "", "transaction", "t")
	c.Send("SEND", "1", "transaction", "t", "destination", "/topic/prices/a")
	c.Send("SEND", "aborted", "transaction", "u", "destination", "/topic/prices/a")
	c.Close()
	c = brokertest.Connect(t, b)
	c.Send("BEGIN", "", "transaction", "t")
	c.Send("SEND", "1", "transaction", "t", "destination", "/topic/prices/a")
	c.Send("SEND", "other", "transaction", "t", "destination", "/topic/other")
	c.Send("SEND", "2", "transaction", "t", "destination", "/topic/prices/b")
	c.Send("COMMIT", "", "transaction", "t", "receipt", "r")
	c.ExpectReceipt(t, "r")
	publish(t, b, "/topic/prices/a", "3")
	settled := func(string, broker.Outcome) { t.Error("Settled was called for a message from the history") }
	if err := b.Publish(t.Context(), &broker.Message{Destination: "/topic/prices/a", Body: []byte("4"), Settled: settled}); err != nil {
		t.Fatal(err)
	}
	again := brokertest.Connect(t, b)
	subscribeFrom(t, again, "1", "/topic/prices/**", "offset", "first", "ack", "client")
	got := wantMessages(t, again, "1", "2", "3", "4")
	again.Send("ACK", "", "id", got[3].Get("ack"))
	wantMessages(t, again)
}

// A program's own subscription sees the offsets as headers.
func TestH9ProgramSeesOffsets(t *testing.T) {
	b := newBroker(t, withHistory(10, "/topic/prices/**"))
	got := make(chan *broker.Message, 10)
	if _, err := b.Subscribe(t.Context(), "/topic/prices/*", broker.SubscribeOptions{}, func(_ context.Context, m *broker.Message) error {
		got <- m
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "/topic/prices/a", "1")
	m := testkit.Receive(t, got)
	if want := epochOf(t, b, "/topic/prices/a") + ":1"; m.Header("offset") != want || m.Header("x-stream-offset") != "1" {
		t.Errorf("%v, want %s", m.Headers, want)
	}
}
