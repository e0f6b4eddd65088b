package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// recovered:true hides no message that the subscription would have got live:
// /topic/chat/* matches /topic/chat/, too.
func TestHistoryOfATrailingSlash(t *testing.T) {
	b := newBroker(t, withHistory(5, "/topic/chat/*"))
	publish(t, b, "/topic/chat/a", "1")
	epoch := epochOf(t, b, "/topic/chat/a")
	live := brokertest.Connect(t, b)
	live.Subscribe(t, "1", "/topic/chat/*")
	publish(t, b, "/topic/chat/", "2")
	expectMessage(t, live, "2")
	c := brokertest.Connect(t, b)
	wantHeaders(t, subscribeFrom(t, c, "1", "/topic/chat/*", "offset", epoch+":1"), "recovered", "true")
	expectMessage(t, c, "2")
}

// failsOnce is an Authorizer that fails once for one destination.
type failsOnce struct {
	destination string
	failed      atomic.Bool
}

func (a *failsOnce) Authorize(_ context.Context, _ *auth.Principal, _ auth.Action, destination string) error {
	if destination == a.destination && a.failed.CompareAndSwap(false, true) {
		return errors.New("time-out")
	}
	return nil
}

// After recovered:true no message is missing without a sign, even if the
// Authorizer fails: the session ends, and its client comes back.
func TestAuthorizerFailsDuringAReplay(t *testing.T) {
	o := withHistory(5, "/topic/chat/**")
	o.Authorizer = &failsOnce{destination: "/topic/chat/b"}
	b := newBroker(t, o)
	publish(t, b, "/topic/chat/a", "0")
	epoch := epochOf(t, b, "/topic/chat/a")
	publish(t, b, "/topic/chat/a", "1")
	publish(t, b, "/topic/chat/b", "2")
	publish(t, b, "/topic/chat/a", "3")
	c := brokertest.Connect(t, b)
	wantHeaders(t, subscribeFrom(t, c, "1", "/topic/chat/*", "offset", epoch+":1"), "recovered", "true")
	expectMessage(t, c, "1")
	c.Expect(t, "ERROR")
	c = brokertest.Connect(t, b)
	wantHeaders(t, subscribeFrom(t, c, "1", "/topic/chat/*", "offset", epoch+":2"), "recovered", "true")
	expectMessage(t, c, "2")
	expectMessage(t, c, "3")
}

// The first MESSAGE says recovered:false also if the subscription is live only:
// a page that asks for no RECEIPT learns it from there.
func TestFirstMessageOfASubscriptionWithoutHistory(t *testing.T) {
	b := newBroker(t, withHistory(5, "/topic/a/*", "/topic/b/*"))
	publish(t, b, "/topic/a/x", "1")
	epoch := epochOf(t, b, "/topic/a/x")
	for destination, to := range map[string]string{"/topic/**": "/topic/a/x", "/topic/none": "/topic/none"} {
		c := brokertest.Connect(t, b)
		wantHeaders(t, subscribeFrom(t, c, "1", destination, "offset", epoch+":1"), "recovered", "false")
		publish(t, b, to, "2")
		wantHeaders(t, expectMessage(t, c, "2"), "recovered", "false")
		publish(t, b, to, "3")
		wantHeaders(t, expectMessage(t, c, "3"), "recovered", "-")
	}
}

// No client forges what the broker says about a history.
func TestForgedHistory(t *testing.T) {
	b := newBroker(t, withHistory(5, "/topic/a/*"))
	c := brokertest.Connect(t, b)
	for destination, subscription := range map[string]string{
		"/topic/a/x": "/topic/a/x", "/topic/a/": "/topic/a/*", "/topic/none": "/topic/none", "/queue/q": "/queue/q",
	} {
		c.Subscribe(t, destination, subscription)
		c.Send("SEND", "1", "destination", destination, "offset", "forged:1", "recovered", "false", "x-stream-offset", "7")
		m := expectMessage(t, c, "1")
		wantHeaders(t, m, "recovered", "-")
		if strings.HasPrefix(destination, "/topic/a/") == (m.Get("offset") == "forged:1") {
			t.Errorf("%s: offset %q", destination, m.Get("offset"))
		}
		c.Send("UNSUBSCRIBE", "", "id", destination)
	}
}

// slowBelow is an Authorizer that takes a moment for the destinations below a
// prefix.
type slowBelow string

func (s slowBelow) Authorize(_ context.Context, _ *auth.Principal, _ auth.Action, destination string) error {
	if strings.HasPrefix(destination, string(s)) {
		time.Sleep(2 * time.Millisecond) // stands for a question over the network
	}
	return nil
}

// The replays of one session together stay within what may wait for the
// Authorizer, so a client is not ended as slow because it asked for history.
func TestManyPatternsWithASlowAuthorizer(t *testing.T) {
	const kept, subscriptions = 200, 12
	o := withHistory(10, "/topic/x/**")
	o.Authorizer = slowBelow("/topic/x/")
	b := newBroker(t, o)
	body := strings.Repeat("x", 4000)
	for i := range kept {
		publish(t, b, fmt.Sprint("/topic/x/", i), body)
	}
	c := brokertest.Connect(t, b)
	for i := range subscriptions {
		c.Send("SUBSCRIBE", "", "id", fmt.Sprint(i), "destination", "/topic/x/*", "offset", "first")
	}
	for range kept * subscriptions {
		c.Expect(t, "MESSAGE")
	}
}

// The replays of one session take turns, so that many SUBSCRIBEs that select
// nothing do not keep all processors busy.
func TestReplaysOfASessionTakeTurns(t *testing.T) {
	var working, most, asked atomic.Int32
	o := withHistory(1000, "/topic/a/**")
	o.Selector = func(string) (func(*broker.Message) bool, error) {
		return func(*broker.Message) bool {
			now := working.Add(1)
			for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
			}
			time.Sleep(10 * time.Microsecond) // so that others could overlap
			working.Add(-1)
			asked.Add(1)
			return false
		}, nil
	}
	b := newBroker(t, o)
	const kept, subscriptions = 600, 8
	for range kept {
		publish(t, b, "/topic/a/x", "1")
	}
	c := brokertest.Connect(t, b)
	for i := range subscriptions {
		subscribeFrom(t, c, fmt.Sprint(i), "/topic/a/*", "offset", "first", "selector", fmt.Sprint("s", i))
	}
	brokertest.Eventually(t, "all have read everything", func() bool { return asked.Load() == kept*subscriptions })
	if got := most.Load(); got != 1 {
		t.Errorf("%d replays of the session worked at once, want 1", got)
	}
}

// A logger that publishes its records to a topic with a history does not stop
// the broker when a record is about that topic.
func TestLoggerThatPublishesToAHistory(t *testing.T) {
	var b *broker.Broker
	h := &publishing{to: func(text string) {
		if err := b.Publish(context.Background(), &broker.Message{Destination: "/topic/log", Body: []byte(text)}); err != nil && !errors.Is(err, broker.ErrClosed) {
			t.Error(err)
		}
	}}
	o := withHistory(10, "/topic/log")
	o.Logger = slog.New(h)
	o.Selector = func(string) (func(*broker.Message) bool, error) {
		return func(*broker.Message) bool { panic("no") }, nil
	}
	b = newBroker(t, o)
	block := make(chan struct{})
	sub, err := b.Subscribe(t.Context(), "/topic/log", broker.SubscribeOptions{Buffer: 1}, func(ctx context.Context, _ *broker.Message) error {
		select {
		case <-block:
		case <-ctx.Done():
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "1", "/topic/log", "selector", "x")
	for range 5 {
		publish(t, b, "/topic/log", "x")
	}
	close(block)
	testkit.Receive(t, sub.Done())
	if !errors.Is(sub.Err(), broker.ErrSlowConsumer) {
		t.Error(sub.Err())
	}
}

type publishing struct {
	slog.Handler
	to func(string)
}

func (p *publishing) Enabled(context.Context, slog.Level) bool { return true }
func (p *publishing) WithAttrs([]slog.Attr) slog.Handler       { return p }
func (p *publishing) Handle(_ context.Context, r slog.Record) error {
	var b bytes.Buffer
	b.WriteString(r.Message)
	p.to(b.String())
	return nil
}
