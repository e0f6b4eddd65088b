package broker_test

import (
	"context"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// begin opens the transaction t with frames, each a command, a body and headers.
func begin(c *brokertest.Client, list ...[]string) {
	c.Send("BEGIN", "", "transaction", "t")
	for _, f := range list {
		c.Send(f[0], f[1], append([]string{"transaction", "t"}, f[2:]...)...)
	}
}

// A COMMIT that meets a full queue, or an ACK of nothing, does nothing at all.
func TestCommitIsAllOrNothing(t *testing.T) {
	for name, last := range map[string][]string{
		"a full queue":   {"SEND", "2", "destination", "/queue/full"},
		"an unknown ack": {"ACK", "", "id", "99-1"},
		"an ack of more": {"ACK", "", "id", "1-2"}, // of its subscription, which was given one message
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, broker.Options{Queues: broker.Queues{Messages: 1}})
			handled := false
			handle(t, b, "/log", func(context.Context, *broker.Request) error { handled = true; return nil })
			publish(t, b, "/queue/full", "1")
			publish(t, b, "/queue/held", "held")
			other := brokertest.Connect(t, b)
			other.Subscribe(t, "s", "/topic/a")
			c := brokertest.Connect(t, b)
			c.Subscribe(t, "s", "/queue/held", "ack", "client-individual")
			m := c.Expect(t, "MESSAGE")
			begin(c,
				[]string{"SEND", "x", "destination", "/topic/a"},
				[]string{"ACK", "", "id", m.Get("ack")},
				[]string{"SEND", "x", "destination", "/queue/empty"},
				[]string{"SEND", "x", "destination", "/app/log"},
				last)
			c.Send("COMMIT", "", "transaction", "t", "receipt", "done")
			if f := c.Expect(t, "ERROR"); f.Get("receipt-id") != "done" {
				t.Errorf("the ERROR is %v", f.Headers)
			}
			_ = c.Ended(t) // with the reason of the ERROR
			wantMessages(t, other)
			for d := range b.Destinations() {
				switch d.Name {
				case "/queue/empty":
					t.Error("a message was stored")
				case "/queue/held":
					if d.Messages != 1 {
						t.Error("a message was acknowledged")
					}
				}
			}
			if handled {
				t.Error("the handler ran")
			}
		})
	}
}

// An id of a program's own that has the form of ours names its message, in a
// transaction as outside.
func TestCommitOfAnAckByMessageID(t *testing.T) {
	for _, inTransaction := range []bool{false, true} {
		b := newBroker(t, broker.Options{})
		if err := b.Publish(t.Context(), &broker.Message{ID: "7-1", Destination: "/queue/a"}); err != nil {
			t.Fatal(err)
		}
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/queue/a", "ack", "client-individual")
		wantHeaders(t, c.Expect(t, "MESSAGE"), "message-id", "7-1")
		if inTransaction {
			begin(c, []string{"ACK", "", "id", "7-1"})
			c.Send("COMMIT", "", "transaction", "t", "receipt", "done")
		} else {
			c.Send("ACK", "", "id", "7-1", "receipt", "done")
		}
		c.ExpectReceipt(t, "done")
		if n := b.Stats().UnknownAcks; n != 0 {
			t.Errorf("in a transaction %v: %d unknown acks are counted", inTransaction, n)
		}
		for d := range b.Destinations() {
			if d.Name == "/queue/a" && d.Messages > 0 {
				t.Errorf("in a transaction %v: the queue is %+v", inTransaction, d)
			}
		}
	}
}

// What a COMMIT stores comes first; handlers come last, and their failure undoes
// nothing.
func TestOrderOfACommit(t *testing.T) {
	b := newBroker(t, broker.Options{})
	handle(t, b, "/no", func(context.Context, *broker.Request) error { return errStore })
	other, c := brokertest.Connect(t, b), brokertest.Connect(t, b)
	other.Subscribe(t, "q", "/queue/a")
	other.Subscribe(t, "t", "/topic/a")
	begin(c,
		[]string{"SEND", "", "destination", "/app/no"},
		[]string{"SEND", "3", "destination", "/topic/a"},
		[]string{"SEND", "1", "destination", "/queue/a"},
		[]string{"SEND", "4", "destination", "/topic/a"},
		[]string{"SEND", "2", "destination", "/queue/a"})
	c.Send("COMMIT", "", "transaction", "t", "receipt", "done")
	if f := c.Expect(t, "ERROR"); f.Get("receipt-id") != "done" {
		t.Errorf("the ERROR is %v", f.Headers)
	}
	wantMessages(t, other, "1", "2", "3", "4")
}

// A COMMIT that is not stored at once stops the reading: what comes behind it
// cannot overtake it.
func TestCommitStopsTheReading(t *testing.T) {
	for _, fails := range []error{nil, errStore} {
		late(t, broker.Options{}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
			other, c := brokertest.Connect(t, b), brokertest.Connect(t, b)
			other.Subscribe(t, "s", "/topic/a")
			begin(c,
				[]string{"SEND", "in it", "destination", "/topic/a"},
				[]string{"SEND", "1", "destination", "/queue/a"},
				[]string{"SEND", "2", "destination", "/queue/b"})
			c.Send("COMMIT", "", "transaction", "t", "receipt", "done")
			c.Send("SEND", "behind it", "destination", "/topic/a", "receipt", "behind")
			list := wantTaken(t, q, 1)
			if names := list[0].Queues; len(names) != 2 {
				t.Errorf("stored %v", names)
			}
			wantQuiet(t, c)
			wantMessages(t, other)
			list[0].Finish(fails)
			if fails != nil {
				wantLateError(t, c, "done", notStored)
				_ = c.Ended(t) // with the reason of the ERROR
				wantMessages(t, other)
				return
			}
			c.ExpectReceipt(t, "done")
			c.ExpectReceipt(t, "behind")
			wantMessages(t, other, "in it", "behind it")
		})
	}
}

// The receipt of a COMMIT waits for its ACKs, in the same place.
func TestCommitWaitsForItsAcks(t *testing.T) {
	late(t, broker.Options{}, func(t *testing.T, b *broker.Broker, q *broker.LateQueues) {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual")
		job(c, "")
		job(c, "")
		for _, l := range wantTaken(t, q, 2) {
			l.Finish(nil)
		}
		first, second := c.Expect(t, "MESSAGE"), c.Expect(t, "MESSAGE")
		begin(c,
			[]string{"ACK", "", "id", first.Get("ack")},
			[]string{"ACK", "", "id", second.Get("ack")},
			[]string{"SEND", "x", "destination", "/queue/other"})
		c.Send("COMMIT", "", "transaction", "t", "receipt", "done")
		c.Send("SEND", "", "destination", "/topic/a", "receipt", "behind")
		wantTaken(t, q, 3)[2].Finish(nil)
		list := wantTaken(t, q, 5) // the reading has gone on, too
		wantQuiet(t, c)
		list[4].Finish(nil)
		wantQuiet(t, c)
		list[3].Finish(nil)
		c.ExpectReceipt(t, "done")
		c.ExpectReceipt(t, "behind")
	})
}
