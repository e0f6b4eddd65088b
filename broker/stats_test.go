package broker_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

func TestStats(t *testing.T) {
	b := newBroker(t, broker.Options{})
	first := b.Stats()
	if _, err := uuid.Parse(first.Node); err != nil || first.Started.IsZero() || first.Ended == nil || len(first.Ended) != 0 {
		t.Errorf("at the start: %+v", first)
	}
	alice, again := brokertest.Connect(t, b, "login", "alice"), brokertest.Connect(t, b, "login", "alice")
	anonymous, stranger := brokertest.Connect(t, b), brokertest.Dial(b)
	t.Cleanup(stranger.Close)
	alice.Subscribe(t, "1", "/topic/a")
	alice.Subscribe(t, "2", "/queue/a", "ack", "client")
	again.Subscribe(t, "1", "/user/queue/a")
	collect(t, b, "/topic/**")
	brokertest.Eventually(t, "four sockets", func() bool { return b.Stats().Sockets == 4 })
	st := b.Stats()
	if st.Sessions != 3 || st.Users != 1 || st.Subscriptions != 4 || st.Opened != 4 || st.Node != first.Node {
		t.Errorf("%+v", st)
	}
	if st.FramesIn != 6 || st.BytesIn < 6*20 {
		t.Errorf("%d frames of %d bytes received, want 6", st.FramesIn, st.BytesIn)
	}

	publish(t, b, "/queue/full of one", "held")
	publish(t, b, "/queue/a", "1")
	m := wantMessages(t, alice, "1")[0]
	if st := b.Stats(); st.QueueMessages != 2 || st.QueueBytes <= 0 {
		t.Errorf("queues hold %d messages of %d bytes, want 2: what is not acknowledged counts", st.QueueMessages, st.QueueBytes)
	}
	answer(alice, "1.2", "ACK", m)
	alice.Sync(t)
	if st := b.Stats(); st.QueueMessages != 1 {
		t.Errorf("queues hold %d messages, want 1", st.QueueMessages)
	}

	anonymous.Send("SEND", "")
	anonymous.Ended(t)
	again.Close()
	st = b.Stats()
	if want := map[string]int64{"protocol-error": 1, "connection-lost": 1}; !maps.Equal(st.Ended, want) {
		t.Errorf("ended %v, want %v", st.Ended, want)
	}
	if st.Sessions != 1 || st.Sockets != 2 || st.Subscriptions != 3 || st.Opened != 4 {
		t.Errorf("%+v", st)
	}
}

func TestStatsCountMessages(t *testing.T) {
	o := broker.Options{}
	o.Queues.Messages = 1
	b := newBroker(t, o)
	c := brokertest.Connect(t, b, "login", "alice")
	c.Subscribe(t, "1", "/topic/a")
	c.Subscribe(t, "2", "/topic/*")
	c.Subscribe(t, "3", "/queue/a")
	c.Subscribe(t, "4", "/user/queue/a")
	counts := func(what string, published, delivered int64) {
		t.Helper()
		c.Sync(t)
		if st := b.Stats(); st.Published != published || st.Delivered != delivered {
			t.Errorf("%s: %d published and %d delivered, want %d and %d", what, st.Published, st.Delivered, published, delivered)
		}
	}
	c.Send("SEND", "", "destination", "/topic/a")
	counts("to two subscriptions of a topic", 1, 2)
	publish(t, b, "/topic/b", "")
	counts("to a pattern", 2, 3)
	publish(t, b, "/topic/nobody/listens", "")
	counts("to nobody", 3, 3)
	notify(t, b, "alice", "/queue/a", "", 1)
	counts("to a user", 4, 4)
	publish(t, b, "/queue/a", "")
	counts("to a consumer", 5, 5)
	publish(t, b, "/queue/b", "")
	counts("to a queue nobody consumes", 6, 5)
	if b.Publish(t.Context(), &broker.Message{Destination: "/queue/b"}) == nil {
		t.Fatal("a full queue took a message")
	}
	counts("refused by a full queue", 6, 5)
	other := brokertest.Connect(t, b)
	other.Send("SEND", "", "destination", "/queue/b")
	wantError(t, other, 4429, "1 messages")
	counts("refused to a client", 6, 5)
}

func TestSessions(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b, "login", "alice", "accept-version", "1.1")
	anonymous := brokertest.Connect(t, b)
	stranger := brokertest.Dial(b)
	t.Cleanup(stranger.Close)
	c.Subscribe(t, "1", "/queue/a", "ack", "client")
	c.Subscribe(t, "2", "/topic/a")
	publishJobs(t, b, "/queue/a", 3)
	wantMessages(t, c, "1", "2", "3")
	info := func() map[string]broker.SessionInfo {
		all := make(map[string]broker.SessionInfo)
		for s := range b.Sessions() {
			all[s.ID] = s
		}
		return all
	}
	all := info()
	if len(all) != 2 {
		t.Fatalf("sessions are %v, want the two that are connected", all)
	}
	s := all[c.Session]
	if s.User != "alice" || s.Version != "1.1" || s.Transport != "transport" || s.Subscriptions != 2 || s.Unacknowledged != 3 ||
		s.Opened.Before(b.Stats().Started) {
		t.Errorf("%+v", s)
	}
	if s := all[anonymous.Session]; s.User != "" || s.Version != "1.2" {
		t.Errorf("%+v", s)
	}
	c.Send("UNSUBSCRIBE", "", "id", "1")
	c.Sync(t)
	if s := info()[c.Session]; s.Subscriptions != 1 || s.Unacknowledged != 0 {
		t.Errorf("after UNSUBSCRIBE: %+v", s)
	}
	for range b.Sessions() {
		break // a loop may stop
	}
	c.Close()
	if _, still := info()[c.Session]; still {
		t.Error("a session that has ended is listed")
	}
}

func TestSessionsTellWhatIsPending(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := connectSlow(t, b)
	c.send(frame("SUBSCRIBE", "", "id", "s", "destination", "/topic/a", "receipt", "1"))
	c.next(t)
	publish(t, b, "/topic/a", strings.Repeat("x", 10_000))
	for s := range b.Sessions() {
		if s.Pending < 10_000 {
			t.Errorf("%d bytes are pending, want more than 10,000", s.Pending)
		}
	}
	c.next(t)
	brokertest.Eventually(t, "nothing is pending", func() bool {
		for s := range b.Sessions() {
			return s.Pending == 0
		}
		return false
	})
}

func TestUsers(t *testing.T) {
	b := newBroker(t, broker.Options{})
	one := brokertest.Connect(t, b, "login", "alice")
	brokertest.Connect(t, b, "login", "alice")
	brokertest.Connect(t, b, "login", "b/ob")
	brokertest.Connect(t, b)
	if got, want := maps.Collect(b.Users()), map[string]int{"alice": 2, "b/ob": 1}; !maps.Equal(got, want) {
		t.Errorf("users are %v, want %v", got, want)
	}
	one.Close()
	if got, want := maps.Collect(b.Users()), map[string]int{"alice": 1, "b/ob": 1}; !maps.Equal(got, want) {
		t.Errorf("users are %v, want %v", got, want)
	}
}

func TestDestinations(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c, d := brokertest.Connect(t, b, "login", "alice"), brokertest.Connect(t, b)
	c.Subscribe(t, "1", "/topic/a")
	d.Subscribe(t, "1", "/topic/a")
	c.Subscribe(t, "2", "/topic/*")
	c.Subscribe(t, "3", "/queue/jobs", "ack", "client")
	c.Subscribe(t, "4", "/user/queue/x")
	c.Subscribe(t, "5", "/user/alice/queue/x")
	publishJobs(t, b, "/queue/jobs", 2)
	publishJobs(t, b, "/queue/kept", 3)
	c.Sync(t)
	got := make(map[string]broker.DestinationInfo)
	var names []string
	for info := range b.Destinations() {
		names = append(names, info.Name)
		if info.Bytes > 0 != strings.HasPrefix(info.Name, "/queue/") {
			t.Errorf("%s holds %d bytes", info.Name, info.Bytes)
		}
		info.Bytes = 0
		got[info.Name] = info
	}
	slices.Sort(names)
	// User destinations are private and left out.
	if want := []string{"/queue/jobs", "/queue/kept", "/topic/*", "/topic/a"}; !slices.Equal(names, want) {
		t.Errorf("destinations are %q, want %q", names, want)
	}
	for _, want := range []broker.DestinationInfo{
		{Name: "/topic/a", Subscriptions: 2},
		{Name: "/topic/*", Subscriptions: 1},
		{Name: "/queue/jobs", Subscriptions: 1, Messages: 2, Unacknowledged: 2},
		{Name: "/queue/kept", Messages: 3},
	} {
		if got[want.Name] != want {
			t.Errorf("%+v, want %+v", got[want.Name], want)
		}
	}
	for range b.Destinations() {
		break // a loop may stop
	}
	c.Close()
	d.Close()
	for info := range b.Destinations() {
		if info.Subscriptions != 0 {
			t.Errorf("%+v after everybody has left", info)
		}
	}
}
