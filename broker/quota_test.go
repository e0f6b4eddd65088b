package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// fill puts small messages into queues of their own until the broker refuses, and
// returns how many it took and what it said.
func fill(t *testing.T, b *broker.Broker, most int, headers ...string) (taken int, refusal string) {
	t.Helper()
	for taken < most {
		c := brokertest.Connect(t, b, headers...)
		for taken < most {
			c.Send("SEND", "x", "destination", fmt.Sprint("/queue/", headers, taken), "receipt", "r")
			f, err := c.Receive()
			if err != nil {
				t.Fatal(err)
			}
			if f.Command == "ERROR" {
				c.Close()
				return taken, f.Get("message")
			}
			if taken++; taken%7 == 0 { // the next from another session of the same user
				break
			}
		}
		c.Close()
	}
	return taken, ""
}

// One user, or one address, cannot take the queues of everybody; the program and
// its backends are not bound.
func TestQueuesAreShared(t *testing.T) {
	b := newBroker(t, broker.Options{
		Authenticator: auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
			p := &auth.Principal{Name: a.Login}
			if a.Login == "backend" {
				p.Roles = []string{auth.RoleBackend}
			}
			return p, nil
		}),
		Queues: broker.Queues{Queues: 100, QueuesPerUser: 10},
	})
	const text = "at most 10 queues of one user or address (queues.queues_per_user)"
	for _, login := range []string{"", "ann", "bob"} {
		if n, refusal := fill(t, b, 20, "login", login); n != 10 || !strings.Contains(refusal, text) {
			t.Errorf("%q could make %d queues and was told %q", login, n, refusal)
		}
	}
	if n, refusal := fill(t, b, 20, "login", "backend"); n != 20 {
		t.Errorf("a backend could make %d queues: %s", n, refusal)
	}
	for i := range 20 {
		publish(t, b, fmt.Sprint("/queue/program", i), "x")
	}
	c := brokertest.Connect(t, b, "login", "ann")
	send(t, c, "/queue/program1", "a queue that is there is nobody's share")
	c.Send("SUBSCRIBE", "", "id", "1", "destination", "/queue/another")
	wantError(t, c, 4429, text)

	// What is gone gives its place back, whoever took it away.
	for d := range b.Destinations() {
		if strings.Contains(d.Name, "ann") {
			if n, err := b.Purge(d.Name); n != 1 || err != nil {
				t.Errorf("Purge(%s): %d, %v", d.Name, n, err)
			}
		}
	}
	if n, refusal := fill(t, b, 9, "login", "ann"); n != 9 {
		t.Errorf("after its queues have gone ann can make %d: %s", n, refusal)
	}
}

func TestQueueBytesAreShared(t *testing.T) {
	b := newBroker(t, broker.Options{Authenticator: auth.TrustLogin, Queues: broker.Queues{BytesPerUser: 10_000}})
	ann, bob := brokertest.Connect(t, b, "login", "ann"), brokertest.Connect(t, b, "login", "bob")
	body := strings.Repeat("x", 4000)
	send(t, ann, "/queue/a", body)
	send(t, ann, "/queue/b", body)
	send(t, bob, "/queue/a", body)
	ann.Send("SEND", body, "destination", "/queue/c")
	wantError(t, ann, 4429, "at most 10000 bytes in queues from one user or address (queues.bytes_per_user)")
	publish(t, b, "/queue/c", body)
	worker := brokertest.Connect(t, b, "login", "worker")
	worker.Subscribe(t, "s", "/queue/a")
	worker.Expect(t, "MESSAGE")
	ann = brokertest.Connect(t, b, "login", "ann")
	send(t, ann, "/queue/c", body)
}

// Anonymous sessions share by address, an IPv6 address being its network.
func TestQueueShareOfAnAddress(t *testing.T) {
	b := newBroker(t, broker.Options{Queues: broker.Queues{QueuesPerUser: 1}})
	for i, tc := range []struct {
		address string
		refused bool
	}{
		{"192.0.2.1:1", false}, {"192.0.2.1:2", true}, {"[::ffff:192.0.2.1]:1", true}, {"192.0.2.2:1", false},
		{"[2001:db8::1]:1", false}, {"[2001:db8::2]:1", true}, {"[2001:db8:0:1::2]:1", false},
	} {
		d := newDeafPeer()
		a, err := b.Admit(request("GET", "/ws", tc.address))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { defer close(done); _ = b.Serve(t.Context(), d, a) }()
		d.send(t, encode(frame("CONNECT", "", "accept-version", "1.2")))
		d.want(t, "CONNECTED")
		d.send(t, encode(frame("SEND", "", "destination", fmt.Sprint("/queue/", i), "receipt", "r")))
		if tc.refused {
			d.want(t, "ERROR")
		} else {
			d.want(t, "RECEIPT")
		}
		_ = d.Close(0, "")
		testkit.Receive(t, done)
	}
}

// A queue has a name that leaves room for that of its dead letters.
func TestLongestQueueName(t *testing.T) {
	b := newBroker(t, broker.Options{Queues: broker.Queues{Attempts: 1}})
	const text = "the name of a queue is longer than 1020 bytes"
	long, longer := "/queue/"+strings.Repeat("q", 1013), "/queue/"+strings.Repeat("q", 1014)
	c := brokertest.Connect(t, b)
	send(t, c, long, "x")
	c.Subscribe(t, "s", long, "ack", "client-individual")
	answer(c, "1.2", "NACK", c.Expect(t, "MESSAGE"))
	c.Subscribe(t, "d", "/queue/DLQ."+long[len("/queue/"):])
	if m := c.Expect(t, "MESSAGE"); string(m.Body) != "x" || m.Get("original-destination") != long {
		t.Errorf("the dead letter is %+v", m)
	}
	c.Send("SEND", "x", "destination", longer)
	wantError(t, c, 1002, text)
	c = brokertest.Connect(t, b)
	c.Send("SUBSCRIBE", "", "id", "1", "destination", longer)
	wantError(t, c, 1002, text)
	err := b.Publish(t.Context(), &broker.Message{Destination: longer})
	if !errors.Is(err, broker.ErrDestination) || !strings.Contains(err.Error(), text) {
		t.Errorf("Publish returned %v", err)
	}
	if _, err := b.Subscribe(t.Context(), longer, broker.SubscribeOptions{}, func(context.Context, *broker.Message) error { return nil }); !errors.Is(err, broker.ErrDestination) {
		t.Errorf("Subscribe returned %v", err)
	}
}

// Five crashes of a consumer with a prefetch of 100 make a dead letter of the one
// message that each of them had to answer first.
func TestCrashesSpareWhatWasNotLookedAt(t *testing.T) {
	b := newBroker(t, broker.Options{})
	publishJobs(t, b, "/queue/jobs", 100)
	for range 5 {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual", "prefetch-count", "100")
		for range 100 {
			c.Expect(t, "MESSAGE")
		}
		c.Close()
	}
	if dead, left := destination(b, "/queue/DLQ.jobs"), destination(b, "/queue/jobs"); dead.Messages != 1 || left.Messages != 99 {
		t.Errorf("%d dead letters and %d messages, want 1 and 99", dead.Messages, left.Messages)
	}
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual")
	if m := c.Expect(t, "MESSAGE"); string(m.Body) != "2" || m.Get("redelivered") != "true" {
		t.Errorf("next comes %q with redelivered %q", m.Body, m.Get("redelivered"))
	}
}
