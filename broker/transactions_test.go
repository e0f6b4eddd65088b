package broker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

func TestTransactionCommit(t *testing.T) {
	b := newBroker(t, broker.Options{})
	var handled []string
	handle(t, b, "/log", func(_ context.Context, r *broker.Request) error {
		handled = append(handled, string(r.Body)) // on the session's goroutine, which Sync waits for
		return nil
	})
	c, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
	other.Subscribe(t, "s", "/topic/**")
	c.Send("BEGIN", "", "transaction", "t:1")
	for _, body := range []string{"1", "2", "3"} {
		send(t, c, "/topic/"+body, body, "transaction", "t:1", "k", body) // the receipt says: taken into the transaction
	}
	send(t, c, "/app/log", "handled", "transaction", "t:1")
	send(t, c, "/topic/outside", "outside")
	wantMessages(t, other, "outside")
	if len(handled) != 0 {
		t.Error("the handler ran before COMMIT")
	}
	c.Send("COMMIT", "", "transaction", "t:1", "receipt", "done")
	c.ExpectReceipt(t, "done")
	for _, m := range wantMessages(t, other, "1", "2", "3") {
		wantHeaders(t, m, "transaction", "-", "receipt", "-", "k", string(m.Body), "destination", "/topic/"+string(m.Body))
	}
	if fmt.Sprint(handled) != "[handled]" {
		t.Errorf("the handler got %v", handled)
	}
}

func TestTransactionAbort(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
	other.Subscribe(t, "s", "/topic/a")
	c.Send("BEGIN", "", "transaction", "t")
	send(t, c, "/topic/a", "x", "transaction", "t")
	c.Send("ABORT", "", "transaction", "t", "receipt", "gone")
	c.ExpectReceipt(t, "gone")
	wantMessages(t, other)
	// The name is free again, and holds nothing of before.
	c.Send("BEGIN", "", "transaction", "t")
	send(t, c, "/topic/a", "y", "transaction", "t")
	c.Send("COMMIT", "", "transaction", "t")
	c.Sync(t)
	wantMessages(t, other, "y")
}

func TestTransactionsAreIndependent(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c, d, other := brokertest.Connect(t, b), brokertest.Connect(t, b), brokertest.Connect(t, b)
	other.Subscribe(t, "s", "/topic/a")
	for _, session := range []*brokertest.Client{c, d} { // names belong to their session
		session.Send("BEGIN", "", "transaction", "1")
		session.Send("BEGIN", "", "transaction", "2")
	}
	send(t, c, "/topic/a", "c1", "transaction", "1")
	send(t, c, "/topic/a", "c2", "transaction", "2")
	send(t, d, "/topic/a", "d1", "transaction", "1")
	for _, tx := range []string{"2", "1"} {
		c.Send("COMMIT", "", "transaction", tx)
	}
	c.Sync(t)
	d.Send("ABORT", "", "transaction", "1")
	d.Sync(t)
	wantMessages(t, other, "c2", "c1")
}

func TestTransactionAbortedAtSessionEnd(t *testing.T) { // trap 36
	for name, end := range map[string]func(c *brokertest.Client){
		"lost":       func(c *brokertest.Client) { c.Close() },
		"disconnect": func(c *brokertest.Client) { c.Send("DISCONNECT", "") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, broker.Options{})
			c, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
			other.Subscribe(t, "s", "/topic/a")
			c.Send("BEGIN", "", "transaction", "t")
			send(t, c, "/topic/a", "x", "transaction", "t")
			end(c)
			c.Ended(t)
			wantMessages(t, other)
		})
	}
}

func TestAckInTransaction(t *testing.T) {
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		t.Run(version, func(t *testing.T) {
			b := newBroker(t, broker.Options{})
			publishJobs(t, b, "/queue/jobs", 1)
			c := brokertest.Connect(t, b, "accept-version", version)
			c.Subscribe(t, "s", "/queue/jobs", "ack", "client")
			m := wantMessages(t, c, "1")[0]
			left := func() int { c.Sync(t); return b.Stats().QueueMessages }
			c.Send("BEGIN", "", "transaction", "t")
			answer(c, version, "ACK", m, "transaction", "t")
			if left() != 1 {
				t.Error("acknowledged before COMMIT")
			}
			c.Send("ABORT", "", "transaction", "t")
			if left() != 1 {
				t.Error("acknowledged by ABORT")
			}
			c.Send("BEGIN", "", "transaction", "t")
			answer(c, version, "ACK", m, "transaction", "t")
			c.Send("COMMIT", "", "transaction", "t")
			if left() != 0 {
				t.Error("not acknowledged by COMMIT")
			}
		})
	}
}

func TestNackInTransaction(t *testing.T) {
	b := newBroker(t, broker.Options{})
	publishJobs(t, b, "/queue/jobs", 1)
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/jobs", "ack", "client")
	m := wantMessages(t, c, "1")[0]
	c.Send("BEGIN", "", "transaction", "t")
	answer(c, "1.2", "NACK", m, "transaction", "t")
	wantMessages(t, c)
	c.Send("COMMIT", "", "transaction", "t")
	wantHeaders(t, wantMessages(t, c, "1")[0], "redelivered", "true")
}

func TestTransactionRefused(t *testing.T) {
	o := broker.Options{}
	o.Limits.Transactions, o.Limits.TransactionFrames, o.Limits.TransactionBytes = 2, 3, 1000
	begin := func(id string) frames.Frame { return frame("BEGIN", "", "transaction", id) }
	sendIn := func(id, body string) frames.Frame {
		return frame("SEND", body, "destination", "/topic/a", "transaction", id)
	}
	for _, tc := range []struct {
		name    string
		code    int
		message string
		list    []frames.Frame
	}{
		{"BEGIN without a transaction", 1002, "BEGIN without a transaction header", []frames.Frame{frame("BEGIN", "")}},
		{"COMMIT without a transaction", 1002, "COMMIT without a transaction header", []frames.Frame{frame("COMMIT", "")}},
		{"ABORT without a transaction", 1002, "ABORT without a transaction header", []frames.Frame{frame("ABORT", "")}},
		{"BEGIN twice", 1002, `"t" has begun already`, []frames.Frame{begin("t"), begin("t")}},
		{"COMMIT of an unknown one", 1002, `no open transaction "x"`, []frames.Frame{begin("t"), frame("COMMIT", "", "transaction", "x")}},
		{"ABORT of an unknown one", 1002, `no open transaction "x"`, []frames.Frame{frame("ABORT", "", "transaction", "x")}},
		{"COMMIT twice", 1002, `no open transaction "t"`, []frames.Frame{begin("t"), frame("COMMIT", "", "transaction", "t"), frame("COMMIT", "", "transaction", "t")}},
		{"SEND in an unknown one", 1002, `no open transaction "x"`, []frames.Frame{sendIn("x", "")}},
		{"ACK in an unknown one", 1002, `no open transaction "x"`, []frames.Frame{frame("ACK", "", "id", "1", "transaction", "x")}},
		{"too many", 4429, "more than 2 open transactions", []frames.Frame{begin("1"), begin("2"), begin("3")}},
		{"too many frames", 4429, "more than 3 frames in a transaction", []frames.Frame{begin("t"), sendIn("t", ""), sendIn("t", ""), sendIn("t", ""), sendIn("t", "")}},
		{"too many bytes in one", 4429, "more than 1000 bytes in open transactions", []frames.Frame{begin("t"), sendIn("t", strings.Repeat("x", 1000))}},
		{"too many bytes in all", 4429, "more than 1000 bytes in open transactions", []frames.Frame{
			begin("1"), begin("2"), sendIn("1", strings.Repeat("x", 150)), sendIn("2", strings.Repeat("x", 200)),
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBroker(t, o)
			c, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
			other.Subscribe(t, "s", "/topic/a")
			last := &tc.list[len(tc.list)-1]
			last.Headers = append(last.Headers, frames.Header{Name: "receipt", Value: "r"})
			c.Write(encode(tc.list...))
			wantHeaders(t, wantError(t, c, tc.code, tc.message), "receipt-id", "r")
			wantMessages(t, other)
		})
	}
}

func TestTransactionLimitsAreGivenBack(t *testing.T) {
	o := broker.Options{}
	o.Limits.Transactions, o.Limits.TransactionFrames, o.Limits.TransactionBytes = 1, 1, 1000
	c := brokertest.Connect(t, newBroker(t, o))
	for i := range 10 {
		c.Send("BEGIN", "", "transaction", "t")
		c.Send("SEND", strings.Repeat("x", 500), "destination", "/topic/a", "transaction", "t")
		c.Send([]string{"COMMIT", "ABORT"}[i%2], "", "transaction", "t")
	}
	c.Sync(t)
}

// What a transaction does is authorized as everything else, and done as a whole
// or not at all (STOMP 1.2, "BEGIN").
func TestCommitIsAuthorized(t *testing.T) {
	b := newBroker(t, broker.Options{Authorizer: rules(t, deny("/topic/secret", auth.Send), allow("/topic/**", auth.Send, auth.Subscribe))})
	c, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
	other.Subscribe(t, "s", "/topic/**")
	c.Send("BEGIN", "", "transaction", "t")
	c.Send("SEND", "allowed", "destination", "/topic/open", "transaction", "t")
	c.Send("SEND", "denied", "destination", "/topic/secret", "transaction", "t")
	c.Send("COMMIT", "", "transaction", "t")
	wantError(t, c, 4403, "not allowed")
	wantMessages(t, other)
}
