package broker_test

import (
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

// What hand-made clients send and RabbitMQ and ActiveMQ take.
func TestHandMadeFrames(t *testing.T) {
	t.Parallel()
	b := newBroker(t, broker.Options{})
	c := brokertest.Dial(b)
	t.Cleanup(c.Close)
	c.Write([]byte("\x00CONNECT\r\nlogin: ann \r\n\r\n\r\n\n\x00\x00\n"))
	if f := c.Expect(t, "CONNECTED"); f.Get("version") != "1.0" || f.Get("user-name") != "" && f.Get("user-name") != "ann" {
		t.Errorf("got %v", f.Headers)
	}
	c.Write([]byte("SUBSCRIBE\nid: 1 \ndestination: /topic/a \nreceipt: r \n\n\n\n\x00"))
	c.ExpectReceipt(t, "r")
	c.Write([]byte("SEND\ndestination: /topic/a\t\n\nhello\x00\x00\n\x00"))
	if f := c.Expect(t, "MESSAGE"); string(f.Body) != "hello" || f.Get("destination") != "/topic/a" || f.Get("subscription") != "1" {
		t.Errorf("got %v %q", f.Headers, f.Body)
	}
}

// ack:client-individual and NACK are of 1.1, and work in 1.0.
func TestClientIndividualIn10(t *testing.T) {
	t.Parallel()
	b := newBroker(t, broker.Options{})
	jobs := publishJobs(t, b, "/queue/jobs", 3)
	c := brokertest.Connect(t, b, "accept-version", "1.0")
	c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual")
	got := wantMessages(t, c, jobs...)
	c.Send("ACK", "", "message-id", got[2].Get("message-id"))
	c.Send("NACK", "", "message-id", got[1].Get("message-id"), "receipt", "r")
	again := c.Expect(t, "MESSAGE")
	wantHeaders(t, again, "redelivered", "true")
	if string(again.Body) != jobs[1] {
		t.Errorf("%q came again, want %q", again.Body, jobs[1])
	}
	c.ExpectReceipt(t, "r")
}

// prefetch-count 0 has no bound of its own; on a topic the header means nothing.
func TestPrefetchCountZero(t *testing.T) {
	t.Parallel()
	b := newBroker(t, broker.Options{Queues: broker.Queues{Prefetch: 2}})
	jobs := publishJobs(t, b, "/queue/jobs", 5)
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/jobs", "ack", "client", "prefetch-count", "0")
	wantMessages(t, c, jobs...)
	c.Subscribe(t, "t", "/topic/a", "ack", "client", "prefetch-count", "1")
	publish(t, b, "/topic/a", "x")
	publish(t, b, "/topic/a", "y")
	wantMessages(t, c, "x", "y")
}

// The ERROR for a frame that cannot be read names its receipt, too.
func TestUnreadableFramesNameTheirReceipt(t *testing.T) {
	t.Parallel()
	b := newBroker(t, broker.Options{})
	for name, tc := range map[string]struct{ octets, message, receipt string }{
		"body":           {"SUBSCRIBE\nid:1\nreceipt:a\\cb\n\nx\x00", "only SEND, MESSAGE and ERROR may have a body", "a:b"},
		"too large":      {"SEND\nreceipt:7\ncontent-length:100000\n\n", "frame larger than", "7"},
		"no colon":       {"SEND\nx\nreceipt:7\n\n\x00", "header line without a colon", "7"},
		"no NUL":         {"SEND\nreceipt:7\ncontent-length:1\n\nxy\x00", "no NUL after the body", "7"},
		"too many":       {"SEND\nreceipt:7\n" + strings.Repeat("a:\n", 100) + "\n\x00", "more than 100 headers (limits.headers)", "7"},
		"without":        {"ACK\n\nx\x00", "only SEND, MESSAGE and ERROR may have a body", "-"},
		"unknown":        {"HELLO\nreceipt:7\n\n\x00", `unknown command "HELLO"`, "-"},
		"a secret":       {"passcode:secret\n\n\x00", "unknown command", "-"},
		"second CONNECT": {"CONNECT\nreceipt:7\n\n\x00", "already connected", "7"},
	} {
		t.Run(name, func(t *testing.T) {
			c := brokertest.Connect(t, b)
			c.Write([]byte(tc.octets))
			f := c.Expect(t, "ERROR")
			wantHeaders(t, f, "receipt-id", tc.receipt)
			if !strings.HasPrefix(f.Get("message"), tc.message) || strings.Contains(f.Get("message"), "passcode") {
				t.Errorf("the message is %q, want %q", f.Get("message"), tc.message)
			}
		})
	}
	c := brokertest.Dial(b)
	t.Cleanup(c.Close)
	c.Write([]byte("CONNECT\nreceipt:\\7\nx\n\n\x00"))
	f := c.Expect(t, frames.CommandError)
	wantHeaders(t, f, "receipt-id", `\7`)
}
