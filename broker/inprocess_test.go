package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/frames"
)

// subscribe subscribes the program.
func subscribe(t testing.TB, b *broker.Broker, destination string, o broker.SubscribeOptions, fn func(context.Context, *broker.Message) error) *broker.Subscription {
	t.Helper()
	s, err := b.Subscribe(context.Background(), destination, o, fn)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// collect returns a channel of the messages that the program receives.
func collect(t testing.TB, b *broker.Broker, destination string) <-chan *broker.Message {
	t.Helper()
	got := make(chan *broker.Message, 10_000)
	subscribe(t, b, destination, broker.SubscribeOptions{}, func(_ context.Context, m *broker.Message) error {
		got <- m
		return nil
	})
	return got
}

func TestLocalTopic(t *testing.T) {
	b := newBroker(t, broker.Options{})
	literal, pattern := collect(t, b, "/topic/a"), collect(t, b, "/topic/**")
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/a")
	c.Send("SEND", "from a client", "destination", "/topic/a", "k", "v", "receipt", "r")
	m := expectMessage(t, c, "from a client")
	c.ExpectReceipt(t, "r")
	publish(t, b, "/topic/b", "from the program")
	for _, got := range []*broker.Message{testkit.Receive(t, literal), testkit.Receive(t, pattern)} {
		if string(got.Body) != "from a client" || got.Destination != "/topic/a" || got.Header("k") != "v" || got.Header("receipt") != "" ||
			got.ID != m.Get("message-id") || got.Redelivered || len(got.Headers) != 1 {
			t.Errorf("received %+v", got)
		}
	}
	if got := testkit.Receive(t, pattern); string(got.Body) != "from the program" || got.Destination != "/topic/b" {
		t.Errorf("received %+v", got)
	}
}

func TestLocalIsOneAtATimeAndInOrder(t *testing.T) {
	const messages = 500
	b := newBroker(t, broker.Options{})
	var running atomic.Int32
	got := make(chan string, messages)
	subscribe(t, b, "/topic/a", broker.SubscribeOptions{}, func(_ context.Context, m *broker.Message) error {
		if running.Add(1) != 1 {
			t.Error("two calls at a time")
		}
		got <- string(m.Body)
		running.Add(-1)
		return errors.New("logged, and no more") // a topic does not deliver again
	})
	for i := range messages {
		publish(t, b, "/topic/a", fmt.Sprint(i))
	}
	for i := range messages {
		if body := testkit.Receive(t, got); body != fmt.Sprint(i) {
			t.Fatalf("received %s, want %d", body, i)
		}
	}
}

func TestLocalKeepsNothingOfTheCaller(t *testing.T) {
	b := newBroker(t, broker.Options{})
	got := collect(t, b, "/topic/a")
	body := []byte("body")
	if err := b.Publish(t.Context(), &broker.Message{Destination: "/topic/a", Body: body, Headers: []frames.Header{{Name: "receipt", Value: "x"}}}); err != nil {
		t.Fatal(err)
	}
	copy(body, "XXXX")
	if m := testkit.Receive(t, got); string(m.Body) != "body" || len(m.Headers) != 0 {
		t.Errorf("received %+v", m)
	}
}

func TestLocalQueue(t *testing.T) {
	o := broker.Options{}
	o.Queues.Attempts = 3
	b := newBroker(t, o)
	publish(t, b, "/queue/jobs", "stored")
	attempts := make(chan bool, 10)
	subscribe(t, b, "/queue/jobs", broker.SubscribeOptions{}, func(_ context.Context, m *broker.Message) error {
		attempts <- m.Redelivered
		switch string(m.Body) {
		case "refused":
			return errors.New("no")
		case "panics":
			panic("no")
		}
		return nil
	})
	dead := collect(t, b, "/queue/DLQ.jobs")
	if testkit.Receive(t, attempts) {
		t.Error("the first delivery is marked redelivered")
	}
	for _, body := range []string{"refused", "panics"} {
		publish(t, b, "/queue/jobs", body)
		for i := range 3 {
			if redelivered := testkit.Receive(t, attempts); redelivered != (i > 0) {
				t.Errorf("%s: delivery %d has Redelivered %v", body, i+1, redelivered)
			}
		}
		m := testkit.Receive(t, dead)
		if string(m.Body) != body || m.Destination != "/queue/DLQ.jobs" || m.Header("original-destination") != "/queue/jobs" || m.Header("delivery-attempts") != "3" {
			t.Errorf("dead letter %+v", m)
		}
	}
	brokertest.Eventually(t, "queues are empty", func() bool { return b.Stats().QueueMessages == 0 })
}

func TestLocalAndClientsCompete(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/jobs")
	got := collect(t, b, "/queue/jobs")
	for i := range 4 {
		publish(t, b, "/queue/jobs", fmt.Sprint(i))
	}
	wantMessages(t, c, "0", "2")
	if first, second := string(testkit.Receive(t, got).Body), string(testkit.Receive(t, got).Body); first != "1" || second != "3" {
		t.Errorf("the program got %s and %s", first, second)
	}
}

// blocked subscribes a function that says when it is called and returns when it
// is told to.
func blocked(t *testing.T, b *broker.Broker, destination string, buffer int) (s *broker.Subscription, entered chan string, leave chan struct{}) {
	t.Helper()
	entered, leave = make(chan string, 10_000), make(chan struct{})
	s = subscribe(t, b, destination, broker.SubscribeOptions{Buffer: buffer}, func(_ context.Context, m *broker.Message) error {
		entered <- string(m.Body)
		testkit.Hold(t, leave)
		return nil
	})
	return s, entered, leave
}

func TestLocalSlowConsumerIsEnded(t *testing.T) {
	b := newBroker(t, broker.Options{})
	s, entered, leave := blocked(t, b, "/topic/a", 2)
	other := brokertest.Connect(t, b)
	other.Subscribe(t, "s", "/topic/a")
	publish(t, b, "/topic/a", "1")
	testkit.Receive(t, entered)
	publish(t, b, "/topic/a", "2")
	publish(t, b, "/topic/a", "3")
	if err := s.Err(); err != nil {
		t.Fatalf("ended with %v while its buffer is just full", err)
	}
	publish(t, b, "/topic/a", "4")
	if err := s.Err(); !errors.Is(err, broker.ErrSlowConsumer) {
		t.Errorf("Err is %v, want ErrSlowConsumer", err)
	}
	publish(t, b, "/topic/a", "5")
	wantMessages(t, other, "1", "2", "3", "4", "5")
	select {
	case <-s.Done():
		t.Error("Done while the function runs")
	default:
	}
	close(leave)
	testkit.Receive(t, s.Done())
	if len(entered) != 0 {
		t.Errorf("the function was called with %q after the end", testkit.Receive(t, entered))
	}
	if n := b.Stats().Subscriptions; n != 1 {
		t.Errorf("%d subscriptions, want the other one", n)
	}
}

func TestLocalQueueWaitsForASlowFunction(t *testing.T) {
	b := newBroker(t, broker.Options{})
	s, entered, leave := blocked(t, b, "/queue/a", 2)
	const messages = 20
	for i := range messages {
		publish(t, b, "/queue/a", fmt.Sprint(i))
	}
	close(leave)
	for i := range messages {
		if got := testkit.Receive(t, entered); got != fmt.Sprint(i) {
			t.Fatalf("called with %s, want %d", got, i)
		}
	}
	if err := s.Err(); err != nil {
		t.Errorf("the subscription ended: %v", err)
	}
}

func TestLocalCancel(t *testing.T) {
	b := newBroker(t, broker.Options{})
	cancelled := make(chan struct{})
	entered := make(chan string, 10)
	s := subscribe(t, b, "/topic/a", broker.SubscribeOptions{}, func(ctx context.Context, m *broker.Message) error {
		entered <- string(m.Body)
		<-ctx.Done() // the context of a call that runs is cancelled
		close(cancelled)
		return nil
	})
	publish(t, b, "/topic/a", "1")
	testkit.Receive(t, entered)
	publish(t, b, "/topic/a", "waits")
	s.Cancel()
	s.Cancel()
	testkit.Receive(t, cancelled)
	testkit.Receive(t, s.Done())
	publish(t, b, "/topic/a", "late")
	if err := s.Err(); err != nil {
		t.Errorf("Err is %v after Cancel", err)
	}
	if len(entered) != 0 {
		t.Errorf("called with %q after Cancel", testkit.Receive(t, entered))
	}
	if n := b.Stats().Subscriptions; n != 0 {
		t.Errorf("%d subscriptions are left", n)
	}
}

func TestLocalCancelReturnsMessages(t *testing.T) {
	b := newBroker(t, broker.Options{})
	s, entered, leave := blocked(t, b, "/queue/a", 10)
	for _, body := range []string{"1", "2", "3"} {
		publish(t, b, "/queue/a", body)
	}
	testkit.Receive(t, entered)
	s.Cancel()
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/queue/a")
	for _, m := range wantMessages(t, c, "1", "2", "3") {
		wantHeaders(t, m, "redelivered", "true")
	}
	close(leave) // its acknowledgement comes too late
	testkit.Receive(t, s.Done())
	wantMessages(t, c)
}

func TestLocalEndsFromItsOwnFunction(t *testing.T) {
	b := newBroker(t, broker.Options{})
	var s *broker.Subscription
	ready := make(chan struct{})
	s = subscribe(t, b, "/topic/a", broker.SubscribeOptions{}, func(context.Context, *broker.Message) error {
		testkit.Hold(t, ready)
		s.Cancel()
		return nil
	})
	close(ready)
	publish(t, b, "/topic/a", "x")
	testkit.Receive(t, s.Done())
}

func TestLocalEndsWithItsContext(t *testing.T) {
	b := newBroker(t, broker.Options{})
	ctx, cancel := context.WithCancelCause(t.Context())
	s, err := b.Subscribe(ctx, "/queue/a", broker.SubscribeOptions{}, func(context.Context, *broker.Message) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	reason := errors.New("enough")
	cancel(reason)
	testkit.Receive(t, s.Done())
	if !errors.Is(s.Err(), reason) {
		t.Errorf("Err is %v, want the cause", s.Err())
	}
	publish(t, b, "/queue/a", "x")
	if d := destination(b, "/queue/a"); d.Messages != 1 || d.Subscriptions != 0 {
		t.Errorf("the queue is %+v", d)
	}
}

func TestLocalEndsWithTheBroker(t *testing.T) {
	b := newBroker(t, broker.Options{})
	s, entered, leave := blocked(t, b, "/topic/a", 10)
	publish(t, b, "/topic/a", "x")
	testkit.Receive(t, entered)
	close(leave)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	testkit.Receive(t, s.Done())
	if !errors.Is(s.Err(), broker.ErrClosed) {
		t.Errorf("Err is %v, want ErrClosed", s.Err())
	}
}

func TestLocalRefused(t *testing.T) {
	b := newBroker(t, broker.Options{})
	fn := func(context.Context, *broker.Message) error { return nil }
	for _, destination := range []string{"", "a", "/topic", "/queue/*", "/app/a", "/user/queue/a", "/user/alice/queue/a"} {
		if _, err := b.Subscribe(t.Context(), destination, broker.SubscribeOptions{}, fn); err == nil {
			t.Errorf("Subscribe to %q: no error", destination)
		}
	}
	if _, err := b.Subscribe(t.Context(), "/topic/a", broker.SubscribeOptions{}, nil); err == nil {
		t.Error("Subscribe without a function: no error")
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Subscribe(over, "/topic/a", broker.SubscribeOptions{}, fn); !errors.Is(err, context.Canceled) {
		t.Errorf("Subscribe with a context that is over: %v", err)
	}
	if n := b.Stats().Subscriptions; n != 0 {
		t.Errorf("%d subscriptions are left of what was refused", n)
	}
}
