package broker_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// records collects what is logged.
type records struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *records) count(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.text.String(), text)
}

// An id in our form that this session was never given ends it; it is counted and
// logged, in and outside of transactions.
func TestAckOfWhatWasNeverGiven(t *testing.T) {
	for _, command := range []string{"ACK", "NACK"} {
		for _, id := range []string{"1-2", "2-1", "3-1", "9-9", "9999999-1"} {
			for _, inTransaction := range []bool{false, true} {
				t.Run(fmt.Sprint(command, id, inTransaction), func(t *testing.T) {
					var log records
					b := newBroker(t, broker.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
					publishJobs(t, b, "/queue/jobs", 1)
					c := brokertest.Connect(t, b)
					c.Subscribe(t, "a", "/queue/jobs", "ack", "client") // 1
					c.Expect(t, "MESSAGE")
					c.Subscribe(t, "b", "/queue/other") // 2, auto
					if inTransaction {
						c.Send("BEGIN", "", "transaction", "t")
						c.Send(command, "", "id", id, "transaction", "t")
						c.Sync(t)
						c.Send("COMMIT", "", "transaction", "t", "receipt", "r")
					} else {
						c.Send(command, "", "id", id, "receipt", "r")
					}
					wantHeaders(t, wantError(t, c, 1002, fmt.Sprintf("%s of %q, which this session was never given", command, id)), "receipt-id", "r")
					if n := b.Stats().UnknownAcks; n != 1 {
						t.Errorf("%d are counted, want 1", n)
					}
					if n := log.count("ACK or NACK with an unknown id"); n != 1 {
						t.Errorf("logged %d times, want once", n)
					}
					if d := destination(b, "/queue/jobs"); d.Messages != 1 {
						t.Errorf("the queue is %+v", d)
					}
				})
			}
		}
	}
}

// What is late is harmless, and neither counted nor logged.
func TestLateAcksAreHarmless(t *testing.T) {
	var log records
	b := newBroker(t, broker.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	publishJobs(t, b, "/queue/jobs", 3)
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "t", "/topic/a", "ack", "client-individual")
	c.Subscribe(t, "q", "/queue/jobs", "ack", "client")
	var acks []string
	for range 3 {
		acks = append(acks, c.Expect(t, "MESSAGE").Get("ack"))
	}
	publish(t, b, "/topic/a", "x")
	topic := c.Expect(t, "MESSAGE").Get("ack")
	late := func(id string) {
		t.Helper()
		for _, command := range []string{"ACK", "NACK"} {
			c.Send(command, "", "id", id, "receipt", "late")
			c.ExpectReceipt(t, "late")
		}
	}
	late(topic)
	c.Send("NACK", "", "id", acks[0]) // it comes again, under another id
	again := c.Expect(t, "MESSAGE").Get("ack")
	late(acks[0])
	c.Send("ACK", "", "id", again) // and covers the others
	c.Sync(t)
	for _, id := range append(acks, again, topic) {
		late(id)
	}
	for _, id := range []string{"q", "t"} {
		c.Send("UNSUBSCRIBE", "", "id", id)
	}
	for _, id := range append(acks, again, topic) {
		late(id)
	}
	if n := b.Stats().UnknownAcks; n != 0 || log.count("with an unknown id") != 0 {
		t.Errorf("%d are counted, want none; the log has %s", n, log.text.String())
	}
}

// An id of the client's own invention is counted and logged, and the session lives.
func TestForeignAcks(t *testing.T) {
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		var log records
		b := newBroker(t, broker.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		c := brokertest.Connect(t, b, "accept-version", version)
		c.Subscribe(t, "s", "/queue/jobs", "ack", "client")
		for _, id := range []string{"", "x", "01-1", "1-01", "1-", "-1", strings.Repeat("y", 3000)} {
			c.Send("ACK", "", "id", id, "message-id", id, "subscription", "s", "receipt", "r")
			c.ExpectReceipt(t, "r")
		}
		if n := b.Stats().UnknownAcks; n != 7 {
			t.Errorf("%s: %d are counted, want 7", version, n)
		}
		if n := log.count("ACK or NACK with an unknown id"); n < 1 || n > 3 || log.text.Len() > 4000 {
			t.Errorf("%s: logged %d times in %d bytes", version, n, log.text.Len())
		}
	}
}
