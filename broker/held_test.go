package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// These tests measure that what anybody can make the broker hold is what is
// counted, give or take the rounding of the allocator. docs/limits.md is the list.

// wantHeld fails if more than most bytes are alive than there were before.
func wantHeld(t *testing.T, what string, before, most int64) {
	t.Helper()
	held := testkit.Heap() - before
	t.Logf("%s: %d bytes are held, at most %d may be", what, held, most)
	if held > most {
		t.Errorf("%s: %d bytes are held, at most %d may be", what, held, most)
	}
}

// A message in a queue does not keep the headers alive that are dropped, nor
// those that came in the same block.
func TestStoredMessageHoldsWhatItCounts(t *testing.T) {
	for name, headers := range map[string][]string{
		"secret":       {"authorization", strings.Repeat("x", 7500)},
		"receipt":      {"receipt", strings.Repeat("r", 7000)},
		"tiny headers": strings.Split(strings.Repeat("a::", 90)+"a:", ":"),
		"one header":   {"content-type", strings.Repeat("x", 3000)},
	} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{})
			c := brokertest.Connect(t, b)
			send(t, c, "/queue/a", "b")
			before := testkit.Heap()
			for range 3000 {
				c.Send("SEND", "b", append([]string{"destination", "/queue/a"}, headers...)...)
				if name == "receipt" {
					c.Expect(t, "RECEIPT")
				}
			}
			c.Sync(t)
			wantHeld(t, name, before, b.Stats().QueueBytes*5/4+256<<10)
			runtime.KeepAlive(c)
		})
	}
}

// The same is true of a dead letter and of a message that a pattern's filter keeps.
func TestDeadLetterHoldsWhatItCounts(t *testing.T) {
	b := brokertest.New(t, broker.Options{Queues: broker.Queues{Attempts: 1}})
	c := brokertest.Connect(t, b)
	before := testkit.Heap()
	for range 1000 {
		c.Send("SEND", "b", "destination", "/queue/a", "passcode", strings.Repeat("x", 7000), "a", "b")
	}
	c.Sync(t)
	c.Subscribe(t, "s", "/queue/a", "ack", "client-individual", "prefetch-count", "1")
	for range 1000 {
		answer(c, "1.2", "NACK", c.Expect(t, "MESSAGE"))
	}
	c.Sync(t)
	if d := destination(b, "/queue/DLQ.a"); d.Messages != 1000 {
		t.Fatalf("the dead letters are %+v", d)
	}
	wantHeld(t, "dead letters", before, b.Stats().QueueBytes*5/4+512<<10)
	runtime.KeepAlive(c)
}

// A transaction counts the memory that its frames take.
func TestTransactionHoldsWhatItCounts(t *testing.T) {
	const limit = 1 << 20
	attacks := map[string]func(c *brokertest.Client, i int){
		"tiny headers": func(c *brokertest.Client, i int) {
			c.Write([]byte("SEND\ndestination:/topic/a\ntransaction:t\n" + strings.Repeat("a:\n", 97) + "\n\x00"))
		},
		"empty frames": func(c *brokertest.Client, i int) {
			c.Write([]byte("ACK\nid:1\ntransaction:t\n\n\x00"))
		},
		"dropped headers": func(c *brokertest.Client, i int) {
			c.Send("SEND", "", "destination", "/topic/a", "transaction", "t", "ticket", strings.Repeat("x", 7000))
		},
		"headers for a handler": func(c *brokertest.Client, i int) {
			c.Send("SEND", "", "destination", "/app/a", "transaction", "t", "ticket", strings.Repeat("x", 7000))
		},
		"bodies": func(c *brokertest.Client, i int) {
			c.Send("SEND", strings.Repeat("x", 5000), "destination", "/topic/a", "transaction", "t")
		},
		"names": func(c *brokertest.Client, i int) {
			c.Send("BEGIN", "", "transaction", fmt.Sprint(i, strings.Repeat("t", 5000)))
		},
		"no names": func(c *brokertest.Client, i int) {
			c.Write([]byte(fmt.Sprintf("BEGIN\ntransaction:%d\nx:%s\n\n\x00", i, strings.Repeat("t", 7000))))
		},
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{Limits: broker.Limits{TransactionFrames: -1, Transactions: -1, TransactionBytes: limit}})
			c := brokertest.Connect(t, b)
			c.Send("BEGIN", "", "transaction", "t")
			c.Sync(t)
			before := testkit.Heap()
			open := true
			for i := 0; open && i < 10_000; i++ {
				attack(c, i)
				if i%50 == 0 { // the last answer but for the refusal
					c.Send("SEND", "", "destination", "/topic/none", "receipt", "r")
					f, err := c.Receive()
					if err != nil {
						t.Fatal(err)
					}
					open = f.Command == "RECEIPT"
					if held := testkit.Heap() - before; held > limit*5/4+256<<10 {
						t.Fatalf("%d frames hold %d bytes, the limit is %d", i+1, held, limit)
					}
				}
			}
			if open {
				t.Errorf("the limit was not reached")
			}
		})
	}
}

// deafPeer is a Transport whose client stops reading.
type deafPeer struct {
	in     chan []byte
	out    chan []byte
	closed chan struct{}
	once   sync.Once
	deaf   chan struct{}
}

func newDeafPeer() *deafPeer {
	return &deafPeer{in: make(chan []byte), out: make(chan []byte, 16), closed: make(chan struct{}), deaf: make(chan struct{})}
}

func (d *deafPeer) Receive() ([]byte, error) {
	select {
	case p := <-d.in:
		return p, nil
	case <-d.closed:
		return nil, io.EOF
	}
}

func (d *deafPeer) Send(list [][]byte) error {
	for _, p := range list {
		select {
		case <-d.deaf:
			<-d.closed
			return io.ErrClosedPipe
		case d.out <- bytes.Clone(p):
		}
	}
	return nil
}

func (d *deafPeer) Close(int, string) error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

// send reports false once the session has ended.
func (d *deafPeer) send(t *testing.T, p []byte) bool {
	t.Helper()
	select {
	case d.in <- p:
		return true
	case <-d.closed:
		return false
	case <-time.After(time.Minute):
		t.Fatal("the broker does not read")
	}
	return false
}

// want fails unless the next that comes is a frame of this command.
func (d *deafPeer) want(t *testing.T, command string) {
	t.Helper()
	if p := testkit.Receive(t, d.out); !bytes.HasPrefix(p, []byte(command+"\n")) {
		t.Fatalf("%q came, want %s", p, command)
	}
}

// Whatever a client that does not read asks for, its outbox is bounded.
func TestDeafClientIsBounded(t *testing.T) {
	const limit = 512 << 10
	receipt := strings.Repeat("r", 7000)
	for name, octets := range map[string][]byte{
		"SUBSCRIBE and UNSUBSCRIBE": encode(frame("SUBSCRIBE", "", "id", "1", "destination", "/topic/a", "receipt", receipt), frame("UNSUBSCRIBE", "", "id", "1")),
		"SUBSCRIBE to a queue":      encode(frame("SUBSCRIBE", "", "id", "1", "destination", "/queue/a", "receipt", receipt), frame("UNSUBSCRIBE", "", "id", "1")),
		"SUBSCRIBE to a handler":    encode(frame("SUBSCRIBE", "", "id", "1", "destination", "/app/bootstrap", "receipt", receipt)),
		"UNSUBSCRIBE":               encode(frame("UNSUBSCRIBE", "", "id", "1", "receipt", receipt)),
		"BEGIN and ABORT":           encode(frame("BEGIN", "", "transaction", "t", "receipt", receipt), frame("ABORT", "", "transaction", "t", "receipt", receipt)),
		"ACK":                       encode(frame("ACK", "", "id", "x", "receipt", receipt)),
		"SEND to a handler":         encode(frame("SEND", "", "destination", "/app/big")),
	} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{})
			handle(t, b, "/big", func(ctx context.Context, r *broker.Request) error {
				_, err := r.Reply(ctx, &broker.Message{Body: make([]byte, 7000)})
				return err
			})
			d := newDeafPeer()
			done := make(chan struct{})
			go func() { defer close(done); _ = b.Serve(t.Context(), d, broker.Admission{}) }()
			defer func() {
				_ = d.Close(0, "")
				select {
				case <-done:
				case <-time.After(time.Minute):
					t.Error("the session does not end")
				}
			}()
			d.send(t, encode(frame("CONNECT", "", "accept-version", "1.2"), frame("SUBSCRIBE", "", "id", "big", "destination", "/user/queue/big", "receipt", "subscribed")))
			for range 2 {
				select {
				case <-d.out:
				case <-time.After(time.Minute):
					t.Fatal("the client is not connected")
				}
			}
			close(d.deaf)
			before := testkit.Heap()
			most, ended := 0, false
			for i := 0; i < 2000 && !ended; i++ {
				ended = !d.send(t, octets) || b.Stats().Ended["slow-consumer"] > 0
				for s := range b.Sessions() {
					most = max(most, s.Pending)
				}
			}
			if !ended {
				t.Error("the session goes on")
			}
			if most > limit {
				t.Errorf("%d bytes were waiting, the limit is %d", most, limit)
			}
			if held := testkit.Heap() - before; held > 2*limit+512<<10 {
				t.Errorf("%d bytes are held", held)
			}
		})
	}
}

// Deliveries that a publisher wants to hear of are unacknowledged like any other.
func TestSettledIsBounded(t *testing.T) {
	b := brokertest.New(t, broker.Options{Limits: broker.Limits{Unacknowledged: 10}})
	c := brokertest.Connect(t, b, "login", "alice")
	c.Subscribe(t, "s", "/user/queue/x", "ack", "client-individual")
	outcomes := make(chan broker.Outcome, 20)
	publish := func() broker.Delivery {
		d, err := b.PublishToUser(t.Context(), "alice", &broker.Message{
			Destination: "/queue/x", Body: []byte("x"), Settled: func(_ string, o broker.Outcome) { outcomes <- o },
		})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for i := range 15 {
		want := broker.Delivery{}
		if i < 10 {
			want = broker.Delivery{Subscriptions: 1, Unacknowledged: 1}
		}
		if d := publish(); d != want {
			t.Errorf("delivery %d is %+v, want %+v", i+1, d, want)
		}
	}
	list := c.Sync(t)
	if len(list) != 10 {
		t.Fatalf("%d messages came, want 10", len(list))
	}
	answer(c, "1.2", "ACK", list[3])
	c.Sync(t)
	if d := publish(); d.Subscriptions != 1 {
		t.Errorf("after an ACK the delivery is %+v", d)
	}
	c.Close()
	got := map[broker.Outcome]int{}
	for range 11 {
		select {
		case o := <-outcomes:
			got[o]++
		case <-time.After(time.Minute):
			t.Fatalf("outcomes are missing: %v", got)
		}
	}
	if got[broker.Acknowledged] != 1 || got[broker.Lost] != 10 {
		t.Errorf("the outcomes are %v", got)
	}
}

// An idle session keeps nothing of the frames that it has sent: one that has sent
// long headers holds no more than one that has not.
func TestIdleSessionHoldsNoFrames(t *testing.T) {
	const n = 50
	b := brokertest.New(t, broker.Options{Authenticator: auth.TrustLogin})
	var clients []*brokertest.Client
	held := func(pad string) int64 {
		before := testkit.Heap()
		for range n {
			c := brokertest.Connect(t, b, "login", fmt.Sprint("user", len(clients)), "passcode", pad)
			c.Send("SEND", "", "destination", "/topic/a", "authorization", pad)
			c.Send("SUBSCRIBE", "", "id", "1", "destination", "/topic/b", "x", pad)
			c.Send("BEGIN", "", "transaction", "t", "x", pad)
			c.Sync(t)
			clients = append(clients, c)
		}
		return testkit.Heap() - before
	}
	held("x") // fills what is shared
	short, long := held("x"), held(strings.Repeat("x", 7500))
	if more := (long - short) / n; more > 2<<10 {
		t.Errorf("a session that has sent long headers holds %d bytes more than another", more)
	}
	runtime.KeepAlive(clients)
}
