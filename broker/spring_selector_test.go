package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/selector"
)

// broadcast has queues as Spring's simple broker has them, and selectors.
func broadcast() broker.Options {
	return broker.Options{Selector: selector.Compile, Queues: broker.Queues{Mode: broker.QueueBroadcast}}
}

func TestDefaultSubscriptionRegistry_Selector(t *testing.T) {
	for _, tc := range []struct{ subscribe, publish string }{
		{"/topic/a", "/topic/a"}, {"/topic/**", "/topic/a"}, {"/queue/a", "/queue/a"}, {"/queue/*", "/queue/a"},
		{"/user/queue/a", "/user/alice/queue/a"}, {"/user/alice/topic/a", "/user/alice/topic/a"},
	} {
		t.Run(tc.subscribe, func(t *testing.T) {
			b := brokertest.New(t, broadcast())
			c := brokertest.Connect(t, b, "login", "alice")
			c.Subscribe(t, "all", tc.subscribe)
			c.Subscribe(t, "empty", tc.subscribe, "selector", "")
			c.Subscribe(t, "bar", tc.subscribe, "selector", "headers.foo == 'bar'")
			c.Subscribe(t, "not bar", tc.subscribe, "selector", "headers['foo'] != 'bar'", "ack", "client-individual")
			for _, headers := range [][]broker.Header{nil, {{Name: "foo", Value: "bar"}}, {{Name: "foo", Value: "x"}}} {
				if err := b.Publish(t.Context(), &broker.Message{Destination: tc.publish, Headers: headers}); err != nil {
					t.Fatal(err)
				}
			}
			got := map[string]string{}
			for _, m := range c.Sync(t) {
				got[m.Get("subscription")] += "[" + m.Get("foo") + "]"
			}
			want := map[string]string{"all": "[][bar][x]", "empty": "[][bar][x]", "bar": "[bar]", "not bar": "[][x]"}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("received %v, want %v", got, want)
			}
			if d, err := b.PublishToUser(t.Context(), "alice", &broker.Message{Destination: "/queue/a"}); err != nil || tc.subscribe == "/user/queue/a" && d != (broker.Delivery{Subscriptions: 3, Unacknowledged: 1}) {
				t.Errorf("PublishToUser: %+v, %v", d, err)
			}
			c.Sync(t)
			c.Send("UNSUBSCRIBE", "", "id", "all")
			c.Send("UNSUBSCRIBE", "", "id", "empty")
			c.Send("UNSUBSCRIBE", "", "id", "not bar")
			c.Sync(t)
			publish(t, b, tc.publish, "no foo")
			wantMessages(t, c)
		})
	}
}

// A selector sees what a receiver sees: the headers of the SEND but for those of
// the protocol, and the destination.
func TestDefaultSubscriptionRegistry_SelectorSeesHeaders(t *testing.T) {
	b := brokertest.New(t, broadcast())
	sender, c := brokertest.Connect(t, b), brokertest.Connect(t, b)
	for id, expression := range map[string]string{
		"priority":    "headers.priority > 3 and headers.priority < 10",
		"type":        "headers['content-type'] == 'application/json'",
		"destination": "headers.destination == '/topic/b'",
		"protocol":    "headers.passcode != null or headers.receipt != null or headers.simpUser != null or headers['content-length'] != null",
	} {
		c.Subscribe(t, id, "/topic/*", "selector", expression)
	}
	send(t, sender, "/topic/a", "1", "priority", "9", "content-type", "text/plain", "passcode", "secret", "simpUser", "root")
	send(t, sender, "/topic/a", "2", "priority", "urgent", "content-type", "application/json")
	send(t, sender, "/topic/b", "3", "priority", "10")
	got := map[string]string{}
	for _, m := range c.Sync(t) {
		got[m.Get("subscription")] += string(m.Body)
	}
	if want := map[string]string{"priority": "1", "type": "2", "destination": "3"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("received %v, want %v", got, want)
	}
}

// Spring delivers everything when it cannot read a selector, and ignores the
// header altogether unless it was configured. A filter that is not applied gives
// the client what it did not ask for, so here it is refused.
func TestDefaultSubscriptionRegistry_SelectorRefused_Differs(t *testing.T) {
	none := func(o *broker.Options) { o.Selector = nil }
	work := func(o *broker.Options) { o.Queues.Mode = broker.QueueWork }
	says := func(text string) func(*broker.Options) {
		return func(o *broker.Options) {
			o.Selector = func(string) (func(*broker.Message) bool, error) { return nil, errors.New(text) }
		}
	}
	for _, tc := range []struct {
		name, destination, selector string
		change                      func(*broker.Options)
		code                        int
		message                     string
	}{
		{"no selectors", "/topic/a", "headers.foo == 'bar'", none, 4403, "selector header: this broker has no selectors (selectors)"},
		{"JMS", "/topic/a", "foo = 'bar'", nil, 1002, "selector header: character 5: to compare, write =="},
		{"unparsable", "/user/queue/a", "headers.foo == ", nil, 1002, "selector header: character"},
		{"a function", "/topic/a", "len(headers.foo) == 1", nil, 1002, "selector header: character 1: only headers"},
		{"too long", "/topic/a", strings.Repeat(" ", 1020) + "true", nil, 1002, ""},
		{"longer", "/topic/a", strings.Repeat(" ", 1021) + "true", nil, 1002, "selector header: 1025 octets, the limit is 1024"},
		{"a work queue", "/queue/a", "true", work, 4403, "selector header: a work queue shares its messages out and has no selector"},
		{"a handler", "/app/a", "true", nil, 4403, "selector header: an application destination answers once"},
		{"an error of many lines", "/topic/a", "x", says("one\r\ntwo\x00"), 1002, "selector header: one  two "},
		{"a long error", "/topic/a", "x", says("x" + strings.Repeat("ä", 300)), 1002, "selector header: x" + strings.Repeat("ä", 99)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := broadcast()
			if tc.change != nil {
				tc.change(&o)
			}
			b := brokertest.New(t, o)
			handle(t, b, "/a", reply("answer"))
			c := brokertest.Connect(t, b, "login", "alice")
			c.Send("SUBSCRIBE", "", "id", "s", "destination", tc.destination, "selector", tc.selector, "receipt", "r")
			if tc.message == "" {
				c.ExpectReceipt(t, "r")
				return
			}
			e := wantError(t, c, tc.code, tc.message)
			wantHeaders(t, e, "receipt-id", "r")
			if n := len(e.Get("message")); n > 250 {
				t.Errorf("the message has %d bytes", n)
			}
			if n := b.Stats().Subscriptions; n != 0 {
				t.Errorf("%d subscriptions are left", n)
			}
		})
	}
}

func TestSelectorRefusedSoftly(t *testing.T) {
	b := brokertest.New(t, broker.Options{SoftDenial: true})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "errors", "/user/queue/errors")
	c.Send("SUBSCRIBE", "", "id", "s", "destination", "/topic/a", "selector", "true", "receipt", "r")
	if m := c.Expect(t, "MESSAGE"); !strings.Contains(string(m.Body), "no selectors") || !strings.Contains(string(m.Body), `"receipt":"r"`) {
		t.Errorf("told %s", m.Body)
	}
	publish(t, b, "/topic/a", "x")
	wantMessages(t, c)
}

// As in Spring, a message that a selector fails about is not delivered. The
// others are, and the log has it once.
func TestDefaultSubscriptionRegistry_SelectorFails(t *testing.T) {
	var log syncBuffer
	b := brokertest.New(t, broker.Options{
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Selector: func(expression string) (func(*broker.Message) bool, error) {
			if expression == "at once" {
				panic("hidden")
			}
			return func(m *broker.Message) bool {
				if string(m.Body) == "bad" {
					panic("hidden")
				}
				return true
			}, nil
		},
	})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "selected", "/topic/a", "selector", "x")
	c.Subscribe(t, "all", "/topic/a")
	for _, body := range []string{"bad", "bad", "good"} {
		publish(t, b, "/topic/a", body)
	}
	got := map[string]int{}
	for _, m := range c.Sync(t) {
		got[m.Get("subscription")]++
	}
	if got["all"] != 3 || got["selected"] != 1 {
		t.Errorf("received %v", got)
	}
	if n := strings.Count(log.String(), "a selector panicked"); n != 1 {
		t.Errorf("the log has it %d times:\n%s", n, log.String())
	}
	c.Send("SUBSCRIBE", "", "id", "s", "destination", "/topic/a", "selector", "at once")
	if m := wantError(t, c, 1011, "internal error").Get("message"); strings.Contains(m, "hidden") {
		t.Errorf("the client was told %q", m)
	}
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// counting counts what selectors cost.
type counting struct{ compiled, matched atomic.Int64 }

func (n *counting) compile(expression string) (func(*broker.Message) bool, error) {
	n.compiled.Add(1)
	match, err := selector.Compile(expression)
	return func(m *broker.Message) bool { n.matched.Add(1); return match(m) }, err
}

// Subscriptions with the same expression share one, while there are any.
func TestSelectorIsShared(t *testing.T) {
	var n counting
	b := brokertest.New(t, broker.Options{Selector: n.compile})
	var clients []*brokertest.Client
	for range 50 {
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "1", "/topic/a", "selector", "headers.foo == 'bar'")
		c.Subscribe(t, "2", "/topic/*", "selector", "headers.foo == 'baz'")
		clients = append(clients, c)
	}
	send(t, brokertest.Connect(t, b), "/topic/a", "x", "foo", "baz")
	if n.compiled.Load() != 2 || n.matched.Load() != 2 {
		t.Errorf("compiled %d times and matched %d times, want 2 and 2", n.compiled.Load(), n.matched.Load())
	}
	for _, c := range clients {
		wantHeaders(t, wantMessages(t, c, "x")[0], "subscription", "2")
	}
	for _, c := range clients[1:] {
		c.Close()
	}
	c := clients[0]
	c.Subscribe(t, "3", "/topic/a", "selector", "headers.foo == 'bar'")
	c.Send("UNSUBSCRIBE", "", "id", "1")
	c.Subscribe(t, "4", "/topic/a", "selector", "headers.foo == 'bar'")
	if n.compiled.Load() != 2 {
		t.Errorf("compiled %d times although it was in use", n.compiled.Load())
	}
	c.Send("UNSUBSCRIBE", "", "id", "3")
	c.Send("UNSUBSCRIBE", "", "id", "4")
	c.Subscribe(t, "5", "/topic/a", "selector", "headers.foo == 'bar'")
	if n.compiled.Load() != 3 {
		t.Errorf("compiled %d times, want once again after nobody had it", n.compiled.Load())
	}
	if st := b.Stats(); st.Subscriptions != 2 {
		t.Errorf("%d subscriptions", st.Subscriptions)
	}
}

// More expressions than a publication remembers are all applied.
func TestManySelectors(t *testing.T) {
	var n counting
	b := brokertest.New(t, broker.Options{Selector: n.compile})
	sender, c, d := brokertest.Connect(t, b), brokertest.Connect(t, b), brokertest.Connect(t, b)
	for i := range 100 {
		for _, each := range []*brokertest.Client{c, d} {
			each.Subscribe(t, fmt.Sprint(i), "/topic/a", "selector", fmt.Sprintf("headers.n == %d", i))
		}
	}
	var want []string
	for i := range 100 {
		send(t, sender, "/topic/a", fmt.Sprint(i), "n", fmt.Sprint(i))
		want = append(want, fmt.Sprint(i))
	}
	if n.compiled.Load() != 100 {
		t.Errorf("compiled %d times", n.compiled.Load())
	}
	for _, each := range []*brokertest.Client{c, d} {
		for _, m := range wantMessages(t, each, want...) {
			wantHeaders(t, m, "subscription", string(m.Body))
		}
	}
}

// What the client may not see its selector does not see either.
func TestSelectorAfterAuthorization(t *testing.T) {
	var seen sync.Map
	b := brokertest.New(t, broker.Options{
		Authorizer: auth.AuthorizerFunc(func(_ context.Context, _ *auth.Principal, _ auth.Action, destination string) error {
			if destination == "/topic/secret" {
				return auth.ErrDenied
			}
			return nil
		}),
		Selector: func(string) (func(*broker.Message) bool, error) {
			return func(m *broker.Message) bool {
				seen.Store(m.Destination, true)
				return m.Header("k") == "v"
			}, nil
		},
	})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/*", "selector", "x")
	local := collect(t, b, "/topic/*") // the program gets everything
	for _, destination := range []string{"/topic/secret", "/topic/open", "/topic/secret", "/topic/open"} {
		for _, value := range []string{"v", "w"} {
			if err := b.Publish(t.Context(), &broker.Message{Destination: destination, Body: []byte(destination + value), Headers: []broker.Header{{Name: "k", Value: value}}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	expectMessage(t, c, "/topic/openv")
	expectMessage(t, c, "/topic/openv")
	wantMessages(t, c)
	if _, ok := seen.Load("/topic/secret"); ok {
		t.Error("the selector saw what its client may not")
	}
	for range 8 {
		testkit.Receive(t, local)
	}
}

// Under publishers that never pause: receipt first, nothing selected is missed,
// nothing else comes, and selectors come and go.
func TestSelectorRace(t *testing.T) {
	o := broker.Options{Selector: selector.Compile}
	o.Limits.Outbox = -1
	b := brokertest.New(t, o)
	p := newPace(3)
	var publishers sync.WaitGroup
	for range 2 {
		publishers.Go(func() {
			for n := p.publish(); n != 0; n = p.publish() {
				if err := b.Publish(context.Background(), &broker.Message{Destination: "/topic/race", Headers: []broker.Header{
					{Name: "n", Value: fmt.Sprint(n % 4)}, {Name: "number", Value: fmt.Sprint(n)},
				}}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	t.Run("subscribers", func(t *testing.T) {
		for i := range 3 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				defer p.read(i, resting)
				c := brokertest.Connect(t, b)
				for round := range 200 {
					id, n := fmt.Sprint(round), fmt.Sprint(round%4)
					c.Subscribe(t, id, "/topic/race", "selector", "headers.n == "+n)
					p.read(i, p.last())
					for range 3 {
						m := c.Expect(t, "MESSAGE")
						wantHeaders(t, m, "subscription", id, "n", n)
						number, err := strconv.ParseInt(m.Get("number"), 10, 64)
						if err != nil {
							t.Fatal(err)
						}
						p.read(i, number)
					}
					c.Send("UNSUBSCRIBE", "", "id", id)
					c.Sync(t)
					p.read(i, resting)
				}
			})
		}
	})
	p.end()
	testkit.Wait(t, &publishers)
}

// BenchmarkPushSelected is BenchmarkPush to 1,000 subscriptions of which each
// gets the message, by one selector that all share or by one of its own.
func BenchmarkPushSelected(b *testing.B) {
	const n = 1000
	for name, expression := range map[string]func(i int) string{
		"none":   func(int) string { return "" },
		"shared": func(int) string { return "headers.region == 'eu'" },
		"own":    func(i int) string { return fmt.Sprintf("headers.region == 'eu' or headers.n == %d", i) },
	} {
		b.Run(name, func(b *testing.B) {
			br := brokertest.New(b, broker.Options{Selector: selector.Compile})
			for i := range n {
				c := brokertest.Connect(b, br)
				c.Subscribe(b, "sub-0", "/topic/news", "selector", expression(i))
				c.Sync(b)
			}
			m := &broker.Message{Destination: "/topic/news", Body: make([]byte, 222), Headers: []broker.Header{{Name: "content-type", Value: "text/plain"}, {Name: "region", Value: "eu"}}}
			b.ReportAllocs()
			for b.Loop() {
				br.Push(m)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mdeliveries/s")
		})
	}
}
