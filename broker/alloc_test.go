package broker_test

import (
	"fmt"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// subscribers connects clients that have /topic/news, numbering their
// subscriptions as stompjs does.
func subscribers(t testing.TB, b *broker.Broker, n int) []*brokertest.Client {
	t.Helper()
	list := make([]*brokertest.Client, n)
	for i := range list {
		list[i] = brokertest.Connect(t, b)
		list[i].Subscribe(t, fmt.Sprint("sub-", i%3), "/topic/news")
		list[i].Sync(t)
	}
	// Until the last byte was taken, somebody still looks after an outbox.
	brokertest.Eventually(t, "everything is written", func() bool {
		for s := range b.Sessions() {
			if s.Pending > 0 {
				return false
			}
		}
		return true
	})
	return list
}

// The push costs the encoding of the message, and per subscriber no allocation.
func TestFanOutAllocatesNothingPerSubscriber(t *testing.T) {
	const few, many = 50, 500
	b := brokertest.New(t, broker.Options{})
	m := &broker.Message{Destination: "/topic/news", Body: make([]byte, 222)}
	measure := func() float64 {
		b.Push(m) // fills the pools
		return testing.AllocsPerRun(200, func() { b.Push(m) })
	}
	subscribers(t, b, few)
	first := measure()
	subscribers(t, b, many-few)
	second := measure()
	t.Logf("%.0f allocations for %d subscribers, %.0f for %d", first, few, second, many)
	// Under the race detector a sync.Pool forgets some of what it is given, the
	// batch and its list of outboxes among it; that grows with the logarithm.
	if perSubscriber := (second - first) / (many - few); perSubscriber > 0.03 {
		t.Errorf("%.3f allocations per subscriber, want 0", perSubscriber)
	}
	if first > 12 {
		t.Errorf("%.0f allocations for one message of three subscription ids", first)
	}
}

// A user with many sessions is a fan-out too: one frame is encoded for all of
// them. Only a message that nobody else gets goes right into its outbox.
func TestSessionsOfAUserShareTheFrame(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	m := &broker.Message{Destination: "/queue/news", Body: []byte("hello")}
	var list []*brokertest.Client
	for n, want := range []int{0, 1, 1} {
		c := brokertest.Connect(t, b, "login", "alice")
		c.Subscribe(t, "sub-0", "/user/queue/news")
		list = append(list, c)
		if got := b.EncodedForUser("alice", m); got != want {
			t.Errorf("%d sessions: %d frames to share, want %d", n+1, got, want)
		}
	}
	for n, c := range list {
		for range len(list) - n {
			expectMessage(t, c, "hello")
		}
	}
}

// What the subscribers with client acknowledgement have in common lies in no
// outbox: the first may be written, and its memory used again, while the message
// is still on its way to the others.
func TestSharedTailLiesInNoOutbox(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	var list []*brokertest.Client
	for range 3 {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "s", "/topic/news", "ack", "client-individual")
		list = append(list, c)
	}
	m := &broker.Message{Destination: "/topic/news", Body: []byte("hello")}
	if before, after := b.TailAfterReuse(m); before == "" || before != after {
		t.Errorf("%q became %q", before, after)
	}
	for _, c := range list {
		expectMessage(t, c, "hello")
	}
}
