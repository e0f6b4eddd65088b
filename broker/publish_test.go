package broker_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/frames"
)

func TestPublishMessage(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/a")
	body := []byte("body")
	m := &broker.Message{
		Destination: "/topic/a",
		Headers: []frames.Header{
			{Name: "content-type", Value: "text/plain"}, {Name: "line", Value: "a\nb:c"},
			{Name: "destination", Value: "/topic/forged"}, {Name: "subscription", Value: "forged"}, {Name: "message-id", Value: "forged"},
		},
		Body: body, ID: "my:id", Redelivered: true,
	}
	if err := b.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	copy(body, "XXXX") // the message is the program's again
	m.Headers[0].Value = "XXXX"
	got := wantMessages(t, c, "body")[0]
	wantHeaders(t, got, "destination", "/topic/a", "subscription", "s", "message-id", "my:id",
		"content-type", "text/plain", "line", "a\nb:c", "redelivered", "-")
}

func TestPublishToQueueKeepsACopy(t *testing.T) {
	b := newBroker(t, broker.Options{})
	body := []byte("body")
	m := &broker.Message{Destination: "/queue/a", Headers: []frames.Header{{Name: "k", Value: "v"}}, Body: body}
	if err := b.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	copy(body, "XXXX")
	m.Headers[0].Value = "XXXX"
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/a")
	wantHeaders(t, wantMessages(t, c, "body")[0], "k", "v")
}

func TestPublishRefuses(t *testing.T) {
	b := newBroker(t, broker.Options{})
	for _, destination := range []string{"", "a", "/topic", "/topic/*", "/queue/?", "/app/a", "/user/queue/a", "/user/alice", "/topic/a\nb"} {
		if err := b.Publish(t.Context(), &broker.Message{Destination: destination}); err == nil {
			t.Errorf("Publish to %q: no error", destination)
		}
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Publish(done, &broker.Message{Destination: "/topic/a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
	if _, err := b.PublishToSession(t.Context(), "unknown", &broker.Message{Destination: "/queue/a"}); !errors.Is(err, broker.ErrNoSession) {
		t.Errorf("to an unknown session: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), &broker.Message{Destination: "/topic/a"}); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := b.PublishToUser(t.Context(), "alice", &broker.Message{Destination: "/queue/a"}); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("to a user after Close: %v", err)
	}
	if _, err := b.Subscribe(t.Context(), "/topic/a", broker.SubscribeOptions{}, func(context.Context, *broker.Message) error { return nil }); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("Subscribe after Close: %v", err)
	}
}

// settlements collects what Settled reports.
type settlements struct {
	mu   sync.Mutex
	list []string
}

func (s *settlements) settled(body string) func(string, broker.Outcome) {
	return func(session string, o broker.Outcome) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.list = append(s.list, body+" "+o.String()+" "+session)
	}
}

func (s *settlements) want(t *testing.T, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) != len(want) {
		t.Fatalf("settled %q, want %q", s.list, want)
	}
	for i := range want {
		if s.list[i] != want[i] {
			t.Fatalf("settled %q, want %q", s.list, want)
		}
	}
	s.list = nil
}

func TestSettled(t *testing.T) {
	var s settlements
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b, "login", "alice")
	notify := func(body string) {
		t.Helper()
		d, err := b.PublishToUser(t.Context(), "alice", &broker.Message{Destination: "/queue/x", Body: []byte(body), Settled: s.settled(body)})
		if want := (broker.Delivery{Subscriptions: 1, Unacknowledged: 1}); err != nil || d != want {
			t.Fatalf("%+v, %v", d, err)
		}
	}
	c.Subscribe(t, "s", "/user/queue/x", "ack", "client-individual")
	for _, body := range []string{"1", "2", "3", "4"} {
		notify(body)
	}
	got := wantMessages(t, c, "1", "2", "3", "4")
	s.want(t)
	answer(c, "1.2", "ACK", got[1])
	answer(c, "1.2", "ACK", got[1])
	answer(c, "1.2", "NACK", got[0])
	wantMessages(t, c) // what was refused does not come again: it is for the program to decide
	s.want(t, "2 acknowledged "+c.Session, "1 refused "+c.Session)
	c.Send("UNSUBSCRIBE", "", "id", "s")
	c.Sync(t)
	s.want(t, "3 lost "+c.Session, "4 lost "+c.Session)

	c.Subscribe(t, "s", "/user/queue/x", "ack", "client")
	for _, body := range []string{"5", "6", "7"} {
		notify(body)
	}
	answer(c, "1.2", "ACK", wantMessages(t, c, "5", "6", "7")[1]) // cumulative
	c.Sync(t)
	s.want(t, "5 acknowledged "+c.Session, "6 acknowledged "+c.Session)
	c.Close()
	s.want(t, "7 lost "+c.Session)
}

func TestSettledOncePerSubscription(t *testing.T) {
	var s settlements
	b := newBroker(t, broker.Options{})
	one, two := brokertest.Connect(t, b, "login", "alice"), brokertest.Connect(t, b, "login", "alice", "accept-version", "1.1")
	one.Subscribe(t, "client", "/user/queue/x", "ack", "client")
	one.Subscribe(t, "auto", "/user/queue/x")
	two.Subscribe(t, "client", "/user/queue/x", "ack", "client")
	d, err := b.PublishToUser(t.Context(), "alice", &broker.Message{Destination: "/queue/x", Body: []byte("x"), Settled: s.settled("x")})
	if want := (broker.Delivery{Subscriptions: 3, Unacknowledged: 2}); err != nil || d != want {
		t.Fatalf("%+v, %v", d, err)
	}
	wantMessages(t, one, "x", "x")
	answer(two, "1.1", "NACK", wantMessages(t, two, "x")[0])
	two.Sync(t)
	s.want(t, "x refused "+two.Session)
	one.Close()
	s.want(t, "x lost "+one.Session)
}

func TestSettledNobody(t *testing.T) {
	var s settlements
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b, "login", "alice")
	m := &broker.Message{Destination: "/queue/x", Settled: s.settled("x")}
	if d, err := b.PublishToUser(t.Context(), "alice", m); d != (broker.Delivery{}) || err != nil {
		t.Errorf("%+v, %v", d, err)
	}
	c.Subscribe(t, "s", "/user/queue/x")
	if d, err := b.PublishToSession(t.Context(), c.Session, m); d != (broker.Delivery{Subscriptions: 1}) || err != nil {
		t.Errorf("%+v, %v", d, err)
	}
	c.Close()
	s.want(t)
}

// A callback that panics harms nobody.
func TestSettledPanics(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/user/queue/x", "ack", "client")
	if _, err := b.PublishToSession(t.Context(), c.Session, &broker.Message{Destination: "/queue/x", Settled: func(string, broker.Outcome) { panic("x") }}); err != nil {
		t.Fatal(err)
	}
	answer(c, "1.2", "ACK", wantMessages(t, c, "")[0])
	wantMessages(t, c)
}

// The reply of a handler can be followed up as well.
func TestSettledReply(t *testing.T) {
	var s settlements
	b := newBroker(t, broker.Options{})
	handle(t, b, "/job", func(ctx context.Context, r *broker.Request) error {
		d, err := r.Reply(ctx, &broker.Message{Body: []byte("x"), Settled: s.settled("x")})
		if d != (broker.Delivery{Subscriptions: 1, Unacknowledged: 1}) {
			t.Errorf("%+v", d)
		}
		return err
	})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/user/queue/job", "ack", "client")
	c.Send("SEND", "", "destination", "/app/job")
	answer(c, "1.2", "ACK", wantMessages(t, c, "x")[0])
	c.Sync(t)
	s.want(t, "x acknowledged "+c.Session)
}

func TestOutcomeString(t *testing.T) {
	for o, want := range map[broker.Outcome]string{
		broker.Acknowledged: "acknowledged", broker.Refused: "refused", broker.Lost: "lost", 0: "unknown",
	} {
		if got := o.String(); got != want {
			t.Errorf("%d is %q, want %q", o, got, want)
		}
	}
}

func TestReserved(t *testing.T) {
	for name, want := range map[string]bool{
		"destination": true, "content-length": true, "message-id": true, "subscription": true, "ack": true, "id": true,
		"receipt": true, "receipt-id": true, "transaction": true, "redelivered": true, "passcode": true, "simpSessionId": true,
		"SIMPUSER": true, "content-type": false, "reply-to": false, "correlation-id": false, "sim": false, "": false,
	} {
		if got := broker.Reserved(name); got != want {
			t.Errorf("Reserved(%q) is %v", name, got)
		}
	}
}

// Messages that one goroutine publishes arrive in order, whatever others do.
func TestPublishOrderPerGoroutine(t *testing.T) {
	const publishers, messages = 4, 300
	o := broker.Options{}
	o.Limits.Outbox = -1
	b := newBroker(t, o)
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/**")
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range messages {
				if err := b.Publish(context.Background(), &broker.Message{Destination: "/topic/a", Body: []byte{byte(p), byte(i >> 8), byte(i)}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var next [publishers]int
	for range publishers * messages {
		m := c.Expect(t, "MESSAGE").Body
		if got := int(m[1])<<8 | int(m[2]); got != next[m[0]] {
			t.Fatalf("publisher %d: message %d came, want %d", m[0], got, next[m[0]])
		}
		next[m[0]]++
	}
	testkit.Wait(t, &wg)
}
