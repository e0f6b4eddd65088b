package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/frames"
)

// reply answers with body.
func reply(body string) broker.HandlerFunc {
	return func(ctx context.Context, r *broker.Request) error {
		_, err := r.Reply(ctx, &broker.Message{Body: []byte(body)})
		return err
	}
}

func TestHandlerRequest(t *testing.T) {
	b := newBroker(t, broker.Options{})
	got := make(chan string, 1)
	handle(t, b, "/app/orders/*", func(_ context.Context, r *broker.Request) error {
		got <- fmt.Sprint(r.Destination, r.Subscribe, r.Principal.Name, r.Session, r.Header("k"), r.Header("destination"), string(r.Body))
		return nil
	})
	c := brokertest.Connect(t, b, "login", "alice")
	send(t, c, "/app/orders/7", "body", "k", "v", "k", "second")
	if want := fmt.Sprint("/orders/7", false, "alice", c.Session, "v", "/app/orders/7", "body"); testkit.Receive(t, got) != want {
		t.Errorf("the handler did not get %q", want)
	}
	c.Subscribe(t, "s", "/app/orders/8", "k", "v")
	if want := fmt.Sprint("/orders/8", true, "alice", c.Session, "v", "/app/orders/8", ""); testkit.Receive(t, got) != want {
		t.Errorf("the handler did not get %q", want)
	}
	wantMessages(t, c) // it did not answer
}

func TestHandlerPrincipalIsNeverNil(t *testing.T) {
	b := newBroker(t, broker.Options{})
	handle(t, b, "/who", func(ctx context.Context, r *broker.Request) error {
		_, err := r.Reply(ctx, &broker.Message{Body: []byte("name:" + r.Principal.Name)})
		return err
	})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/app/who")
	wantMessages(t, c, "name:")
}

func TestReplyDestination(t *testing.T) {
	for _, tc := range []struct{ name, explicit, replyTo, want string }{
		{"by default /user/queue and the path", "", "", "/user/queue/registration"},
		{"explicit", "/topic/registration", "", "/user/topic/registration"},
		{"explicit, as clients write it", "/user/topic/registration", "", "/user/topic/registration"},
		{"reply-to", "", "/user/queue/answers", "/user/queue/answers"},
		{"explicit before reply-to", "/topic/registration", "/user/queue/answers", "/user/topic/registration"},
		{"reply-to that is somebody else's", "", "/user/bob/queue/answers", "/user/queue/registration"},
		{"reply-to that is public", "", "/topic/answers", "/user/queue/registration"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBroker(t, broker.Options{})
			handle(t, b, "/registration", func(ctx context.Context, r *broker.Request) error {
				d, err := r.Reply(ctx, &broker.Message{Destination: tc.explicit, Headers: []frames.Header{{Name: "k", Value: "v"}, {Name: "ack", Value: "forged"}}, Body: r.Body})
				if d.Subscriptions != 1 {
					t.Errorf("the reply reached %+v", d)
				}
				return err
			})
			watch := []string{"/user/queue/registration", "/user/topic/registration", "/user/queue/answers", "/topic/answers", "/queue/registration", "/topic/registration"}
			c, same := brokertest.Connect(t, b, "login", "alice"), brokertest.Connect(t, b, "login", "alice")
			bob := brokertest.Connect(t, b, "login", "bob")
			for _, client := range []*brokertest.Client{c, same, bob} {
				for _, d := range watch {
					client.Subscribe(t, d, d)
				}
			}
			headers := []string{"destination", "/app/registration"}
			if tc.replyTo != "" {
				headers = append(headers, "reply-to", tc.replyTo)
			}
			c.Send("SEND", "12345678", headers...)
			wantHeaders(t, wantMessages(t, c, "12345678")[0], "destination", tc.want, "subscription", tc.want, "k", "v", "ack", "-")
			wantMessages(t, same) // W-4: no other session, same user or not
			wantMessages(t, bob)
		})
	}
}

// W-1 and W-2: both ways to register, and W-14: the SUBSCRIBE right before counts.
func TestSendToUserDestinationReachesTheHandler(t *testing.T) {
	b := newBroker(t, broker.Options{})
	handle(t, b, "/registration", func(ctx context.Context, r *broker.Request) error {
		_, err := r.Reply(ctx, &broker.Message{Destination: "/topic/registration", Body: []byte(r.Destination)})
		return err
	})
	for _, destination := range []string{"/app/registration", "/user/topic/registration", "/user/queue/registration"} {
		c := brokertest.Connect(t, b)
		c.Write(encode(
			frame("SUBSCRIBE", "", "id", "sub-0", "destination", "/user/topic/registration"),
			frame("SEND", `{"webSocketId":"12345678"}`, "destination", destination),
		))
		wantHeaders(t, wantMessages(t, c, "/registration")[0], "destination", "/user/topic/registration", "subscription", "sub-0")
	}
}

func TestHandlersRunInOrder(t *testing.T) { // W-14
	b := newBroker(t, broker.Options{})
	handle(t, b, "/echo", func(ctx context.Context, r *broker.Request) error {
		_, err := r.Reply(ctx, &broker.Message{Body: r.Body})
		return err
	})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/user/queue/echo")
	var want []string
	for i := range 200 {
		c.Send("SEND", fmt.Sprint(i), "destination", "/app/echo")
		want = append(want, fmt.Sprint(i))
	}
	wantMessages(t, c, want...)
}

func TestSubscribeToHandlerIsAnsweredOnce(t *testing.T) {
	for _, ack := range []string{"auto", "client"} {
		t.Run(ack, func(t *testing.T) {
			b := newBroker(t, broker.Options{})
			handle(t, b, "/app/state", reply("hello"))
			c := brokertest.Connect(t, b)
			c.Subscribe(t, "s:1", "/app/state", "ack", ack) // the receipt comes first
			wantHeaders(t, wantMessages(t, c, "hello")[0], "subscription", "s:1", "destination", "/app/state", "ack", "-")
			if n := b.Stats().Subscriptions; n != 0 {
				t.Errorf("%d subscriptions stay registered", n)
			}
			c.Send("UNSUBSCRIBE", "", "id", "s:1") // stompjs does
			c.Subscribe(t, "s:1", "/app/state")
			wantMessages(t, c, "hello")
		})
	}
}

func TestHandlerMayPublish(t *testing.T) {
	b := newBroker(t, broker.Options{})
	handle(t, b, "/shout", func(ctx context.Context, r *broker.Request) error {
		if err := b.Publish(ctx, &broker.Message{Destination: "/topic/a", Body: []byte(strings.ToUpper(string(r.Body)))}); err != nil {
			return err
		}
		_, err := r.Reply(ctx, &broker.Message{Body: []byte("done")})
		return err
	})
	c, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
	c.Subscribe(t, "own", "/user/queue/shout")
	other.Subscribe(t, "s", "/topic/a")
	c.Send("SEND", "hey", "destination", "/app/shout")
	wantMessages(t, c, "done")
	wantMessages(t, other, "HEY")
}

func TestHandlerPatterns(t *testing.T) {
	b := newBroker(t, broker.Options{})
	for _, pattern := range []string{"/orders/*", "/orders/**", "/app/orders/new", "/**/last"} {
		handle(t, b, pattern, reply(pattern))
	}
	c := brokertest.Connect(t, b)
	for destination, want := range map[string]string{
		"/app/orders/new":    "/app/orders/new", // literal before patterns
		"/app/orders/7":      "/orders/*",       // then the first registered
		"/app/orders/7/8":    "/orders/**",
		"/app/orders":        "/orders/**",
		"/app/orders/x/last": "/orders/**",
		"/app/a/b/last":      "/**/last",
	} {
		c.Subscribe(t, destination, destination)
		wantHeaders(t, wantMessages(t, c, want)[0], "destination", destination)
	}
}

func TestHandleRefuses(t *testing.T) {
	b := newBroker(t, broker.Options{})
	handle(t, b, "/a", reply("a"))
	handle(t, b, "/b/*", reply("b"))
	for pattern, h := range map[string]broker.Handler{
		"/a": reply("twice"), "/app/a": reply("twice"), "/b/*": reply("twice"), "/c": nil, "d": reply("no slash"), "/e\n": reply("control"),
	} {
		if err := b.Handle(pattern, h); err == nil {
			t.Errorf("Handle(%q) took it", pattern)
		}
	}
	handle(t, b, "/late", reply("late")) // at any time
	c := brokertest.Connect(t, b)
	for _, path := range []string{"a", "late"} {
		c.Subscribe(t, path, "/app/"+path)
		wantMessages(t, c, path)
	}
}

func TestUnknownHandler(t *testing.T) {
	for _, f := range []frames.Frame{
		frame("SEND", "", "destination", "/app/unknown"),
		frame("SEND", "", "destination", "/user/topic/unknown"),
		frame("SUBSCRIBE", "", "id", "1", "destination", "/app/unknown"),
	} {
		c := brokertest.Connect(t, newBroker(t, broker.Options{}))
		c.Write(encode(f))
		wantError(t, c, 4403, "nothing handles messages for this destination")
	}
}

func TestHandlerErrors(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		code       int
		err        error
	}{
		{"public", "come back on Monday", 4429, &broker.Error{Reason: broker.ReasonLimit, Message: "come back on Monday"}},
		{"wrapped public", "come back on Monday", 4429, fmt.Errorf("db: %w", &broker.Error{Reason: broker.ReasonLimit, Message: "come back on Monday"})},
		{"private", "internal error", 1011, errors.New("password of db is hunter2")},
	} {
		for _, command := range []string{"SEND", "SUBSCRIBE"} {
			t.Run(tc.name+" "+command, func(t *testing.T) {
				b := newBroker(t, broker.Options{})
				handle(t, b, "/fails", func(context.Context, *broker.Request) error { return tc.err })
				c := brokertest.Connect(t, b)
				c.Send(command, "", "id", "1", "destination", "/app/fails")
				if e := wantError(t, c, tc.code, tc.text); e.Get("message") != tc.text {
					t.Errorf("the client was told %q", e.Get("message"))
				}
			})
		}
	}
}

func TestHandlerPanicEndsOneSession(t *testing.T) {
	for _, command := range []string{"SEND", "SUBSCRIBE"} {
		t.Run(command, func(t *testing.T) {
			b := newBroker(t, broker.Options{})
			handle(t, b, "/panics", func(context.Context, *broker.Request) error { panic("hunter2") })
			handle(t, b, "/works", reply("works"))
			ended := make(chan *broker.Error, 1)
			b.Observe(broker.Observer{Disconnected: func(_ broker.SessionInfo, e *broker.Error) { ended <- e }})
			c, other := brokertest.Connect(t, b, "login", "c"), brokertest.Connect(t, b)
			c.Subscribe(t, "jobs", "/queue/jobs", "ack", "client")
			publish(t, b, "/queue/jobs", "held by the session that panics")
			wantMessages(t, c, "held by the session that panics")
			c.Send(command, "", "id", "1", "destination", "/app/panics")
			wantError(t, c, 1011, "internal error")
			if e := testkit.Receive(t, ended); e.Reason != broker.ReasonInternalError {
				t.Errorf("the reason is %v", e)
			}
			other.Subscribe(t, "jobs", "/queue/jobs")
			wantMessages(t, other, "held by the session that panics")
			other.Subscribe(t, "1", "/app/works")
			wantMessages(t, other, "works")
			if st := b.Stats(); st.Sessions != 1 || st.Users != 0 || st.Ended["internal-error"] != 1 {
				t.Errorf("stats are %+v", st)
			}
		})
	}
}

// A slow handler slows its own client and nobody else, and what the client was
// owed before has been written.
func TestSlowHandler(t *testing.T) {
	b := newBroker(t, broker.Options{})
	entered, leave := make(chan struct{}), make(chan struct{})
	handle(t, b, "/slow", func(ctx context.Context, r *broker.Request) error {
		close(entered)
		testkit.Hold(t, leave)
		return nil
	})
	c, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/a")
	other.Subscribe(t, "s", "/topic/a")
	c.Write(encode(
		frame("SEND", "before", "destination", "/topic/a", "receipt", "1"),
		frame("SEND", "", "destination", "/app/slow", "receipt", "2"),
		frame("SEND", "after", "destination", "/topic/a"),
	))
	testkit.Receive(t, entered)
	expectMessage(t, c, "before")
	c.ExpectReceipt(t, "1")
	expectMessage(t, other, "before")
	publish(t, b, "/topic/a", "meanwhile")
	expectMessage(t, c, "meanwhile")
	wantMessages(t, other, "meanwhile")
	close(leave)
	c.ExpectReceipt(t, "2")
	expectMessage(t, c, "after")
	expectMessage(t, other, "after")
}

func TestHandlerContextEndsWithTheSession(t *testing.T) {
	b := newBroker(t, broker.Options{})
	entered, left := make(chan struct{}), make(chan error, 1)
	handle(t, b, "/waits", func(ctx context.Context, _ *broker.Request) error {
		close(entered)
		<-ctx.Done()
		left <- ctx.Err()
		return nil
	})
	c := brokertest.Connect(t, b)
	c.Send("SEND", "", "destination", "/app/waits")
	testkit.Receive(t, entered)
	if err := b.Disconnect(c.Session, ""); err != nil {
		t.Fatal(err)
	}
	if err := testkit.Receive(t, left); !errors.Is(err, context.Canceled) {
		t.Errorf("the handler's context says %v", err)
	}
	wantError(t, c, 1008, "operator")
}

func TestReplyTwiceToSend(t *testing.T) {
	b := newBroker(t, broker.Options{})
	ids := make(map[string]bool)
	handle(t, b, "/twice", func(ctx context.Context, r *broker.Request) error {
		for range 2 {
			if _, err := r.Reply(ctx, &broker.Message{Body: []byte("x")}); err != nil {
				return err
			}
		}
		return nil
	})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/user/queue/twice")
	c.Send("SEND", "", "destination", "/app/twice")
	for _, m := range wantMessages(t, c, "x", "x") {
		ids[m.Get("message-id")] = true
	}
	if len(ids) != 2 {
		t.Errorf("message-ids %v", ids)
	}
}
