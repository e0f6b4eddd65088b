package broker_test

import (
	"fmt"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

// answer sends ACK or NACK for m as the version writes it (trap 29).
func answer(c *brokertest.Client, version, command string, m *frames.Frame, headers ...string) {
	switch version {
	case "1.0":
		headers = append(headers, "message-id", m.Get("message-id"))
	case "1.1":
		headers = append(headers, "message-id", m.Get("message-id"), "subscription", m.Get("subscription"))
	default:
		headers = append(headers, "id", m.Get("ack"))
	}
	c.Send(command, "", headers...)
}

// publishJobs stores bodies 1 to n in a queue.
func publishJobs(t testing.TB, b *broker.Broker, queue string, n int) (bodies []string) {
	t.Helper()
	for i := range n {
		bodies = append(bodies, fmt.Sprint(i+1))
		publish(t, b, queue, bodies[i])
	}
	return bodies
}

// trap 28: of three messages the second is acknowledged and the client leaves;
// what remains for others depends on the mode.
func TestAckModes(t *testing.T) {
	for _, tc := range []struct {
		version, mode string
		remain        []string
	}{
		{"1.0", "", nil}, {"1.1", "", nil}, {"1.2", "", nil}, // C-6
		{"1.0", "auto", nil}, {"1.1", "auto", nil}, {"1.2", "auto", nil},
		{"1.0", "client", []string{"3"}}, {"1.1", "client", []string{"3"}}, {"1.2", "client", []string{"3"}},
		{"1.1", "client-individual", []string{"1", "3"}}, {"1.2", "client-individual", []string{"1", "3"}},
	} {
		t.Run(tc.version+" "+tc.mode, func(t *testing.T) {
			b := newBroker(t, broker.Options{})
			jobs := publishJobs(t, b, "/queue/jobs", 3)
			c := brokertest.Connect(t, b, "accept-version", tc.version)
			var mode []string
			if tc.mode != "" {
				mode = []string{"ack", tc.mode}
			}
			c.Subscribe(t, "s", "/queue/jobs", mode...)
			got := wantMessages(t, c, jobs...)
			for _, m := range got {
				if _, has := m.Lookup("ack"); has != (tc.mode == "client" || tc.mode == "client-individual") {
					t.Errorf("ack header is there: %v", has)
				}
				wantHeaders(t, m, "redelivered", "-")
			}
			answer(c, tc.version, "ACK", got[1], "receipt", "r")
			c.ExpectReceipt(t, "r")
			c.Close()

			next := brokertest.Connect(t, b)
			next.Subscribe(t, "s", "/queue/jobs")
			for _, m := range wantMessages(t, next, tc.remain...) {
				wantHeaders(t, m, "redelivered", "true")
			}
		})
	}
}

func TestAckHeadersAreDistinct(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b)
	seen := map[string]bool{}
	for _, id := range []string{"1", "2"} {
		c.Subscribe(t, id, "/topic/a", "ack", "client")
	}
	publish(t, b, "/topic/a", "x")
	publish(t, b, "/topic/a", "y")
	for _, m := range c.Sync(t) {
		seen[m.Get("ack")] = true
	}
	if len(seen) != 4 || seen[""] {
		t.Errorf("ack headers of four deliveries: %v", seen)
	}
}

func TestClientAckIsCumulativePerSubscription(t *testing.T) { // trap 28
	for _, version := range []string{"1.1", "1.2"} {
		t.Run(version, func(t *testing.T) {
			b := newBroker(t, broker.Options{})
			a := publishJobs(t, b, "/queue/a", 2)
			other := publishJobs(t, b, "/queue/b", 2)
			c := brokertest.Connect(t, b, "accept-version", version)
			c.Subscribe(t, "a", "/queue/a", "ack", "client")
			wantMessages(t, c, a...)
			c.Subscribe(t, "b", "/queue/b", "ack", "client")
			got := wantMessages(t, c, other...)
			answer(c, version, "ACK", got[1])
			c.Sync(t)
			c.Close()
			next := brokertest.Connect(t, b)
			next.Subscribe(t, "b", "/queue/b")
			wantMessages(t, next)
			next.Subscribe(t, "a", "/queue/a")
			wantMessages(t, next, a...)
		})
	}
}

func TestNackIsRedelivered(t *testing.T) {
	for _, version := range []string{"1.1", "1.2"} {
		t.Run(version, func(t *testing.T) {
			b := newBroker(t, broker.Options{})
			publishJobs(t, b, "/queue/jobs", 2)
			c := brokertest.Connect(t, b, "accept-version", version)
			c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual")
			got := wantMessages(t, c, "1", "2")
			answer(c, version, "NACK", got[0])
			again := wantMessages(t, c, "1")[0]
			wantHeaders(t, again, "redelivered", "true", "message-id", got[0].Get("message-id"), "destination", "/queue/jobs")
			if again.Get("ack") == got[0].Get("ack") {
				t.Error("a new delivery has the ack header of the old one")
			}
			answer(c, version, "ACK", again)
			answer(c, version, "ACK", got[1])
			c.Sync(t)
			if st := b.Stats(); st.QueueMessages != 0 {
				t.Errorf("%d messages are left in the queue", st.QueueMessages)
			}
		})
	}
}

func TestCumulativeNackKeepsTheOrder(t *testing.T) { // trap 30
	for _, version := range []string{"1.1", "1.2"} {
		t.Run(version, func(t *testing.T) {
			b := newBroker(t, broker.Options{})
			jobs := publishJobs(t, b, "/queue/jobs", 4)
			c := brokertest.Connect(t, b, "accept-version", version)
			c.Subscribe(t, "s", "/queue/jobs", "ack", "client")
			got := wantMessages(t, c, jobs...)
			answer(c, version, "NACK", got[2])
			for _, m := range wantMessages(t, c, "1", "2", "3") {
				wantHeaders(t, m, "redelivered", "true")
			}
		})
	}
}

func TestLateAckIsIgnored(t *testing.T) { // trap 31
	b := newBroker(t, broker.Options{})
	publishJobs(t, b, "/queue/jobs", 2)
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual")
	got := wantMessages(t, c, "1", "2")
	answer(c, "1.2", "ACK", got[0])
	answer(c, "1.2", "ACK", got[0])
	answer(c, "1.2", "NACK", got[0])
	for _, id := range []string{"", "x", "-", "1-", "-1", "1-0", "18446744073709551616-1", "00000001-2", "12345678-2", "deadbeef-2", got[0].Get("message-id")} {
		c.Send("ACK", "", "id", id)
		c.Send("NACK", "", "id", id)
	}
	c.Send("UNSUBSCRIBE", "", "id", "s")
	answer(c, "1.2", "ACK", got[1])
	wantMessages(t, c)

	next := brokertest.Connect(t, b)
	next.Subscribe(t, "s", "/queue/jobs")
	wantMessages(t, next, "2") // the ACK behind the UNSUBSCRIBE came too late
}

// byMessageID answers m in 1.2 as programs with Spring's StompSession do, which
// give acknowledge the message-id.
func byMessageID(c *brokertest.Client, command string, m *frames.Frame, headers ...string) {
	c.Send(command, "", append(headers, "id", m.Get("message-id"))...)
}

func TestAckByMessageID(t *testing.T) {
	for _, tc := range []struct {
		mode, command string
		remain        []string // for the client
		left          int      // in the queue
	}{
		{"client-individual", "ACK", nil, 2},
		{"client", "ACK", nil, 1},
		{"client-individual", "NACK", []string{"2"}, 3},
		{"client", "NACK", []string{"1", "2"}, 3},
	} {
		t.Run(tc.mode+" "+tc.command, func(t *testing.T) {
			b := newBroker(t, broker.Options{})
			publishJobs(t, b, "/queue/jobs", 3)
			c := brokertest.Connect(t, b)
			c.Subscribe(t, "other", "/queue/other", "ack", tc.mode)
			c.Subscribe(t, "s", "/queue/jobs", "ack", tc.mode)
			got := wantMessages(t, c, "1", "2", "3")
			byMessageID(c, tc.command, got[1])
			for _, m := range wantMessages(t, c, tc.remain...) {
				wantHeaders(t, m, "redelivered", "true")
			}
			if st := b.Stats(); st.QueueMessages != tc.left {
				t.Errorf("%d messages are left in the queue, want %d", st.QueueMessages, tc.left)
			}
		})
	}
}

func TestAckByMessageIDInTransaction(t *testing.T) {
	b := newBroker(t, broker.Options{})
	publishJobs(t, b, "/queue/jobs", 3)
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual")
	got := wantMessages(t, c, "1", "2", "3")
	for _, end := range []string{"ABORT", "COMMIT"} {
		c.Send("BEGIN", "", "transaction", "t")
		byMessageID(c, "ACK", got[0], "transaction", "t")
		byMessageID(c, "NACK", got[2], "transaction", "t")
		wantMessages(t, c)
		if n := b.Stats().QueueMessages; n != 3 {
			t.Errorf("%d messages are left before %s, want 3", n, end)
		}
		c.Send(end, "", "transaction", "t")
	}
	wantMessages(t, c, "3")
	if n := b.Stats().QueueMessages; n != 2 {
		t.Errorf("%d messages are left, want 2", n)
	}
}

// A message to a user goes to several subscriptions under one message-id: each
// answer is that of one of them, the named or the oldest.
func TestAckByMessageIDOfSeveralSubscriptions(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b)
	for _, id := range []string{"1", "2", "3"} {
		c.Subscribe(t, id, "/user/queue/a", "ack", "client-individual")
	}
	outcomes := make(chan broker.Outcome, 3)
	m := &broker.Message{Destination: "/queue/a", Body: []byte("x"), Settled: func(_ string, o broker.Outcome) { outcomes <- o }}
	var session string
	for s := range b.Sessions() {
		session = s.ID
	}
	if d, err := b.PublishToSession(t.Context(), session, m); err != nil || d.Unacknowledged != 3 {
		t.Fatalf("published as %+v, %v", d, err)
	}
	got := wantMessages(t, c, "x", "x", "x")
	byMessageID(c, "NACK", got[0], "subscription", "none")
	byMessageID(c, "NACK", got[0], "subscription", "2")
	byMessageID(c, "NACK", got[0], "subscription", "2") // settled
	byMessageID(c, "ACK", got[0])
	byMessageID(c, "ACK", got[0])
	byMessageID(c, "ACK", got[0])
	c.Sync(t)
	close(outcomes)
	var all []broker.Outcome
	for o := range outcomes {
		all = append(all, o)
	}
	if fmt.Sprint(all) != "[refused acknowledged acknowledged]" {
		t.Errorf("settled as %v", all)
	}
}

// Where a program chooses message-ids that look like `ack` headers, the header of
// a delivery that waits comes first.
func TestAckHeaderComesBeforeMessageID(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual")
	for _, id := range []string{"1-2", "mine", "00000001-1"} {
		if err := b.Publish(t.Context(), &broker.Message{Destination: "/queue/jobs", Body: []byte(id), ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	got := wantMessages(t, c, "1-2", "mine", "00000001-1")
	for i, m := range got {
		wantHeaders(t, m, "message-id", string(m.Body), "ack", fmt.Sprint("1-", i+1))
	}
	byMessageID(c, "ACK", got[0])  // the ack header of the second
	byMessageID(c, "NACK", got[0]) // which is settled
	wantMessages(t, c, "1-2")
	byMessageID(c, "NACK", got[2]) // no ack header begins with 0
	wantMessages(t, c, "00000001-1")
	if n := b.Stats().QueueMessages; n != 2 {
		t.Errorf("%d messages are left, want 2", n)
	}
}

func TestAckOfAnotherSessionSettlesNothing(t *testing.T) {
	b := newBroker(t, broker.Options{})
	publishJobs(t, b, "/queue/jobs", 1)
	c, thief := brokertest.Connect(t, b), brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/jobs", "ack", "client-individual")
	m := wantMessages(t, c, "1")[0]
	thief.Subscribe(t, "s", "/queue/other", "ack", "client-individual")
	byMessageID(thief, "ACK", m)
	byMessageID(thief, "ACK", m, "subscription", "s")
	thief.Sync(t)
	answer(thief, "1.2", "ACK", m)
	wantError(t, thief, 1002, `ACK of "1-1", which this session was never given`)
	if n := b.Stats().QueueMessages; n != 1 {
		t.Errorf("%d messages are left, want the one that its receiver has not acknowledged", n)
	}
}

func TestAckInAutoModeIsIgnored(t *testing.T) {
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		b := newBroker(t, broker.Options{})
		c := brokertest.Connect(t, b, "accept-version", version)
		c.Subscribe(t, "s", "/topic/a")
		publish(t, b, "/topic/a", "x")
		answer(c, version, "ACK", wantMessages(t, c, "x")[0])
		wantMessages(t, c)
	}
}

func TestAckRefused(t *testing.T) {
	for _, tc := range []struct {
		version, command, message string
		headers                   []string
	}{
		{"1.0", "NACK", "message-id", []string{"id", "1"}},
		{"1.0", "ACK", "message-id", []string{"id", "1"}},
		{"1.1", "ACK", "message-id", []string{"subscription", "s"}},
		{"1.1", "ACK", "subscription", []string{"message-id", "1"}},
		{"1.1", "NACK", "subscription", []string{"message-id", "1"}},
		{"1.2", "ACK", "id", []string{"message-id", "1", "subscription", "s"}},
		{"1.2", "NACK", "id", []string{"message-id", "1", "subscription", "s"}},
	} {
		t.Run(tc.version+" "+tc.command+" without "+tc.message, func(t *testing.T) {
			c := brokertest.Connect(t, newBroker(t, broker.Options{}), "accept-version", tc.version)
			c.Send(tc.command, "", tc.headers...)
			wantError(t, c, 1002, tc.message)
		})
	}
}

// The limit of unacknowledged messages counts over all subscriptions of a
// session; whatever gives room lets the others go on.
func TestUnacknowledgedLimit(t *testing.T) {
	setUp := func(t *testing.T) (*broker.Broker, *brokertest.Client, []*frames.Frame) {
		o := broker.Options{}
		o.Limits.Unacknowledged = 2
		b := newBroker(t, o)
		publishJobs(t, b, "/queue/a", 2)
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "b", "/queue/b", "ack", "client-individual")
		c.Subscribe(t, "a", "/queue/a", "ack", "client-individual")
		got := wantMessages(t, c, "1", "2")
		publish(t, b, "/queue/b", "3")
		wantMessages(t, c)
		return b, c, got
	}
	t.Run("ACK", func(t *testing.T) {
		_, c, got := setUp(t)
		answer(c, "1.2", "ACK", got[0])
		expectMessage(t, c, "3")
	})
	t.Run("UNSUBSCRIBE", func(t *testing.T) {
		_, c, _ := setUp(t)
		c.Send("UNSUBSCRIBE", "", "id", "a")
		expectMessage(t, c, "3")
	})
	t.Run("another consumer takes it", func(t *testing.T) {
		b, c, _ := setUp(t)
		other := brokertest.Connect(t, b)
		other.Subscribe(t, "b", "/queue/b")
		wantMessages(t, other, "3")
		wantMessages(t, c)
	})
}

// What need not be acknowledged is not held back by what has not been.
func TestUnacknowledgedLimitDoesNotBindAuto(t *testing.T) {
	o := broker.Options{}
	o.Limits.Unacknowledged = 1
	b := newBroker(t, o)
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "client", "/queue/a", "ack", "client")
	c.Subscribe(t, "auto", "/queue/b")
	publish(t, b, "/queue/a", "a")
	publish(t, b, "/queue/b", "b1")
	publish(t, b, "/queue/b", "b2")
	wantMessages(t, c, "a", "b1", "b2")
}
