package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

func TestReceiptsInOrder(t *testing.T) { // trap 34
	b := newBroker(t, broker.Options{})
	handle(t, b, "/echo", func(context.Context, *broker.Request) error { return nil })
	c := brokertest.Connect(t, b)
	list := []frames.Frame{
		frame("SUBSCRIBE", "", "id", "s", "destination", "/topic/a"),
		frame("SUBSCRIBE", "", "id", "u", "destination", "/user/queue/a"),
		frame("SUBSCRIBE", "", "id", "p", "destination", "/topic/**"),
		frame("SUBSCRIBE", "", "id", "q", "destination", "/queue/a", "ack", "client"),
		frame("SUBSCRIBE", "", "id", "h", "destination", "/app/echo"),
		frame("SEND", "x", "destination", "/topic/nobody/listens/here", "id", "x"),
		frame("SEND", "x", "destination", "/queue/stored"),
		frame("SEND", "x", "destination", "/app/echo"),
		frame("ACK", "", "id", "unknown"),
		frame("NACK", "", "id", "unknown"),
		frame("BEGIN", "", "transaction", "t"),
		frame("SEND", "x", "destination", "/queue/stored", "transaction", "t"),
		frame("ACK", "", "id", "unknown", "transaction", "t"),
		frame("NACK", "", "id", "unknown", "transaction", "t"),
		frame("COMMIT", "", "transaction", "t"),
		frame("BEGIN", "", "transaction", "t"),
		frame("ABORT", "", "transaction", "t"),
		frame("UNSUBSCRIBE", "", "id", "p"),
		frame("UNSUBSCRIBE", "", "id", "p"),
		frame("DISCONNECT", ""),
	}
	for i := range list {
		list[i].Headers = append(list[i].Headers, frames.Header{Name: "receipt", Value: fmt.Sprint("r", i)})
	}
	c.Write(encode(list...))
	for i := range list {
		for {
			f, err := c.Receive()
			if err != nil {
				t.Fatalf("waiting for the receipt of %s %v: %v", list[i].Command, list[i].Headers, err)
			}
			if f.Command == "MESSAGE" {
				continue // for the pattern
			}
			if f.Command != "RECEIPT" || f.Get("receipt-id") != fmt.Sprint("r", i) {
				t.Fatalf("got %s %v for %s %v", f.Command, f.Headers, list[i].Command, list[i].Headers)
			}
			break
		}
	}
	wantEnd(t, c, 1000)
}

func TestReceiptOnlyWhenAsked(t *testing.T) {
	c := brokertest.Connect(t, newBroker(t, broker.Options{}), "receipt", "never") // not allowed on CONNECT
	c.Send("SUBSCRIBE", "", "id", "s", "destination", "/topic/a")
	c.Send("UNSUBSCRIBE", "", "id", "s")
	c.Send("SEND", "x", "destination", "/topic/a")
	c.Send("BEGIN", "", "transaction", "t")
	c.Send("ABORT", "", "transaction", "t")
	if seen := c.Sync(t); seen != nil {
		t.Errorf("nobody asked for %v", seen)
	}
}

func TestReceiptIDIsEscapedAsNegotiated(t *testing.T) {
	for version, id := range map[string]string{"1.0": `a:b\c`, "1.1": "a:b\\c\nd", "1.2": "a:b\\c\nd\re"} {
		t.Run(version, func(t *testing.T) {
			c := brokertest.Connect(t, newBroker(t, broker.Options{}), "accept-version", version)
			c.Send("SEND", "", "destination", "/topic/a", "receipt", id)
			c.ExpectReceipt(t, id)
		})
	}
}

func TestFailureCarriesReceiptID(t *testing.T) { // trap 35
	setUp := func(t *testing.T) *broker.Broker {
		o := broker.Options{}
		o.Queues.Messages = 1
		b := newBroker(t, o)
		handle(t, b, "/public", func(context.Context, *broker.Request) error {
			return &broker.Error{Reason: broker.ReasonDenied, Message: "not on Sundays"}
		})
		handle(t, b, "/fails", func(context.Context, *broker.Request) error { return errors.New("secret") })
		handle(t, b, "/panics", func(context.Context, *broker.Request) error { panic("secret") })
		publish(t, b, "/queue/full", "1")
		return b
	}
	for _, tc := range []struct {
		name    string
		code    int
		message string
		f       frames.Frame
	}{
		{"no destination", 1002, "destination", frame("SEND", "")},
		{"no such prefix", 1002, "/topic/", frame("SEND", "", "destination", "/elsewhere/a")},
		{"to a pattern", 1002, "pattern", frame("SEND", "", "destination", "/topic/*")},
		{"full queue", 4429, "1 messages", frame("SEND", "2", "destination", "/queue/full")},
		{"not allowed", 4403, "not allowed to send a message to", frame("SEND", "", "destination", "/user/bob/queue/a")},
		{"nobody handles it", 4403, "nothing handles", frame("SEND", "", "destination", "/app/nothing")},
		{"handler's public error", 4403, "not on Sundays", frame("SEND", "", "destination", "/app/public")},
		{"handler's private error", 1011, "internal error", frame("SEND", "", "destination", "/app/fails")},
		{"handler's panic", 1011, "internal error", frame("SEND", "", "destination", "/app/panics")},
		{"handler's panic at SUBSCRIBE", 1011, "internal error", frame("SUBSCRIBE", "", "id", "1", "destination", "/app/panics")},
		{"SUBSCRIBE without a destination", 1002, "destination", frame("SUBSCRIBE", "", "id", "1")},
		{"SUBSCRIBE without an id", 1002, "id", frame("SUBSCRIBE", "", "destination", "/topic/a")},
		{"SUBSCRIBE to another user's", 4403, "another user", frame("SUBSCRIBE", "", "id", "1", "destination", "/user/bob/queue/a")},
		{"UNSUBSCRIBE without an id", 1002, "id", frame("UNSUBSCRIBE", "")},
		{"ACK without an id", 1002, "id", frame("ACK", "")},
		{"unknown transaction", 1002, "transaction", frame("COMMIT", "", "transaction", "t")},
		{"SEND in an unknown transaction", 1002, "transaction", frame("SEND", "", "destination", "/topic/a", "transaction", "t")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := brokertest.Connect(t, setUp(t), "login", "alice")
			tc.f.Headers = append(tc.f.Headers, frames.Header{Name: "receipt", Value: "77"})
			c.Write(encode(tc.f, frame("SEND", "never runs", "destination", "/topic/a", "receipt", "78")))
			wantHeaders(t, wantError(t, c, tc.code, tc.message), "receipt-id", "77")
		})
	}
}

func TestErrorWithoutReceiptHasNoReceiptID(t *testing.T) {
	c := brokertest.Connect(t, newBroker(t, broker.Options{}))
	c.Send("SEND", "")
	wantHeaders(t, wantError(t, c, 1002, "destination"), "receipt-id", "-")
}
