package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

func TestRulesDeny(t *testing.T) {
	authorizer := rules(t,
		deny("/topic/secret/**", auth.Subscribe, auth.Send),
		allow("/topic/read/**", auth.Subscribe),
		allow("/topic/write/**", auth.Send),
		allow("/topic/reminder/{user}", auth.Subscribe),
		allow("/queue/**", auth.Subscribe, auth.Send),
		allow("/app/**", auth.Send),
	)
	for _, tc := range []struct {
		command, destination string
		allowed              bool
	}{
		{"SUBSCRIBE", "/topic/read/a", true},
		{"SUBSCRIBE", "/topic/read/*", true},
		{"SUBSCRIBE", "/topic/write/a", false},
		{"SUBSCRIBE", "/topic/write/*", false},
		{"SUBSCRIBE", "/topic/secret/a", false},
		{"SUBSCRIBE", "/topic/secret/**", false},
		{"SUBSCRIBE", "/topic/other", false}, // no match is a no
		{"SUBSCRIBE", "/topic/reminder/alice", true},
		{"SUBSCRIBE", "/topic/reminder/bob", false},
		{"SUBSCRIBE", "/user/queue/x", false},
		{"SUBSCRIBE", "/app/a", false},
		{"SUBSCRIBE", "/queue/a", true},
		{"SEND", "/topic/write/a", true},
		{"SEND", "/topic/read/a", false},
		{"SEND", "/topic/secret/a", false},
		{"SEND", "/topic//write/a", true}, // judged as /topic/write/a
		{"SEND", "/topic//read/a/", false},
		{"SEND", "/queue/a", true},
		{"SEND", "/app/a", true},
		{"SEND", "/user/queue/a", false},
		{"SEND", "/user/alice/queue/a", false},
	} {
		t.Run(tc.command+" "+tc.destination, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{Authorizer: authorizer})
			handled := make(chan struct{}, 1)
			handle(t, b, "/a", func(context.Context, *broker.Request) error { handled <- struct{}{}; return nil })
			local := collect(t, b, "/topic/**")
			c := brokertest.Connect(t, b, "login", "alice")
			c.Send(tc.command, "", "id", "1", "destination", tc.destination, "receipt", "r")
			if tc.allowed {
				c.ExpectReceipt(t, "r")
				return
			}
			e := wantError(t, c, 4403, fmt.Sprintf("%q", tc.destination))
			wantHeaders(t, e, "receipt-id", "r")
			if st := b.Stats(); st.Denied != 1 || st.Subscriptions != 1 || st.Ended["denied"] != 1 {
				t.Errorf("stats are %+v", st)
			}
			if len(local)+len(handled) != 0 {
				t.Error("the frame had an effect")
			}
		})
	}
}

// Without an authorizer the guarded rules hold.
func TestDefaultRules(t *testing.T) {
	b, err := broker.New(broker.Options{Authenticator: auth.TrustLogin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	handle(t, b, "/registration", reply("ok"))
	for _, tc := range []struct {
		command, destination string
		allowed              bool
	}{
		{"SUBSCRIBE", "/topic/a", true}, {"SUBSCRIBE", "/user/queue/a", true}, {"SUBSCRIBE", "/user/alice/queue/a", true},
		{"SEND", "/app/registration", true}, {"SEND", "/user/topic/registration", true},
		{"SEND", "/topic/a", false}, {"SEND", "/queue/a", false}, {"SUBSCRIBE", "/queue/a", false},
		{"SUBSCRIBE", "/user/bob/queue/a", false}, {"SEND", "/user/bob/queue/a", false}, {"SEND", "/user/queue/registration", false},
	} {
		c := brokertest.Connect(t, b, "login", "alice")
		c.Send(tc.command, "", "id", "1", "destination", tc.destination, "receipt", "r")
		if tc.allowed {
			c.ExpectReceipt(t, "r")
		} else {
			wantError(t, c, 4403, "not allowed")
		}
		c.Close()
	}
}

func TestAuthorizerFails(t *testing.T) {
	for name, answer := range map[string]auth.AuthorizerFunc{
		"denied": func(context.Context, *auth.Principal, auth.Action, string) error { return auth.ErrDenied },
		"error": func(context.Context, *auth.Principal, auth.Action, string) error {
			return errors.New("no route to 10.0.0.1")
		},
		"panic": func(context.Context, *auth.Principal, auth.Action, string) error { panic("hunter2") },
	} {
		for _, command := range []string{"SEND", "SUBSCRIBE"} {
			t.Run(name+" "+command, func(t *testing.T) {
				c := brokertest.Connect(t, brokertest.New(t, broker.Options{Authorizer: answer}))
				c.Send(command, "", "id", "1", "destination", "/topic/a")
				e := wantError(t, c, 4403, "")
				preposition := map[string]string{"SEND": "send a message to", "SUBSCRIBE": "subscribe to"}[command]
				if want := fmt.Sprintf(`not allowed to %s "/topic/a"`, preposition); e.Get("message") != want {
					t.Errorf("the client was told %q, want %q", e.Get("message"), want)
				}
			})
		}
	}
}

func TestAuthorizerIsToldWhoAndWhat(t *testing.T) {
	var asked []string
	b := brokertest.New(t, broker.Options{Authorizer: auth.AuthorizerFunc(func(_ context.Context, p *auth.Principal, act auth.Action, destination string) error {
		asked = append(asked, fmt.Sprint(p.Name, " ", act, " ", destination)) // on the session's goroutine
		return nil
	})})
	handle(t, b, "/a", reply("a"))
	c := brokertest.Connect(t, b, "login", "alice")
	for i, destination := range []string{"/topic/a", "/queue/a", "/user/queue/a", "/user/alice/queue/a", "/app/a"} {
		c.Send("SUBSCRIBE", "", "id", fmt.Sprint(i), "destination", destination)
	}
	for _, destination := range []string{"/topic/b", "/queue/b", "/app/a", "/user/topic/a", "/user/bob/queue/b"} {
		c.Send("SEND", "", "destination", destination)
	}
	c.Sync(t)
	// One's own name says no more than none; what a handler gets is asked about
	// under its own name too.
	want := "[alice subscribe /topic/a alice subscribe /queue/a alice subscribe /user/queue/a alice subscribe /user/queue/a alice subscribe /app/a" +
		" alice send /topic/b alice send /queue/b alice send /app/a alice send /user/topic/a alice send /app/a alice send /user/bob/queue/b]"
	if got := fmt.Sprint(asked); got != want {
		t.Errorf("asked\n%s, want\n%s", got, want)
	}
}

// A pattern never reveals what a literal SUBSCRIBE would be refused.
func TestPatternGetsOnlyWhatIsAllowed(t *testing.T) {
	list := []auth.Rule{deny("/topic/*/secret", auth.Subscribe), allow("/topic/reminder/{user}", auth.Subscribe), deny("/topic/reminder/*", auth.Subscribe), allow("/topic/**", auth.Subscribe)}
	compiled := rules(t, list...)
	for name, authorizer := range map[string]auth.Authorizer{
		"rules": compiled,
		// One that cannot judge patterns: each destination is asked for.
		"function": auth.AuthorizerFunc(func(ctx context.Context, p *auth.Principal, act auth.Action, destination string) error {
			return compiled.Authorize(ctx, p, act, destination)
		}),
	} {
		for _, ack := range []string{"auto", "client"} {
			t.Run(name+" "+ack, func(t *testing.T) {
				b := brokertest.New(t, broker.Options{Authorizer: authorizer})
				c := brokertest.Connect(t, b, "login", "alice")
				c.Subscribe(t, "s", "/topic/**", "ack", ack)
				var want []string
				for i := range 50 {
					for destination, allowed := range map[string]bool{"/topic/a": true, "/topic/reminder/alice": true, "/topic/a/secret": false, "/topic/reminder/bob": false} {
						body := fmt.Sprint(i, " ", destination)
						publish(t, b, destination, body)
						if allowed {
							want = append(want, body)
						}
					}
				}
				for _, body := range want {
					m := expectMessage(t, c, body)
					var i int
					var destination string
					if _, err := fmt.Sscan(body, &i, &destination); err != nil {
						t.Fatal(err)
					}
					wantHeaders(t, m, "destination", destination, "subscription", "s")
				}
				c.Send("UNSUBSCRIBE", "", "id", "s")
				wantMessages(t, c)
			})
		}
	}
}

// blockingAuthorizer answers what concerns /topic/slow/** when it is told to,
// and forbids /topic/slow/secret.
type blockingAuthorizer struct {
	asked  chan string
	answer chan struct{}
	calls  atomic.Int32
}

func newBlockingAuthorizer() *blockingAuthorizer {
	return &blockingAuthorizer{asked: make(chan string, 100), answer: make(chan struct{})}
}

func (a *blockingAuthorizer) Authorize(ctx context.Context, _ *auth.Principal, act auth.Action, destination string) error {
	if act != auth.Subscribe || len(destination) < len("/topic/slow/") || destination[:len("/topic/slow/")] != "/topic/slow/" {
		return nil
	}
	a.calls.Add(1)
	a.asked <- destination
	select {
	case <-a.answer:
	case <-ctx.Done():
		return ctx.Err()
	}
	if destination == "/topic/slow/secret" {
		return auth.ErrDenied
	}
	return nil
}

func TestSlowAuthorizerNeverBlocksThePublisher(t *testing.T) {
	a := newBlockingAuthorizer()
	b := brokertest.New(t, broker.Options{Authorizer: a})
	c, other, sender := brokertest.Connect(t, b), brokertest.Connect(t, b), brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/**")
	c.Subscribe(t, "literal", "/topic/fast")
	other.Subscribe(t, "s", "/topic/fast")

	send(t, sender, "/topic/slow/1", "1") // returns although nobody has answered
	if destination := testkit.Receive(t, a.asked); destination != "/topic/slow/1" {
		t.Fatalf("asked for %s", destination)
	}
	publish(t, b, "/topic/slow/secret", "secret")
	publish(t, b, "/topic/fast", "2")
	publish(t, b, "/topic/slow/1", "3")
	publish(t, b, "/topic/slow/2", "4")
	publish(t, b, "/topic/slow/secret", "secret again")
	wantMessages(t, other, "2")
	// The session itself is not held up either, nor are its other subscriptions.
	wantHeaders(t, wantMessages(t, c, "2")[0], "subscription", "literal")

	close(a.answer)
	for _, body := range []string{"1", "2", "3", "4"} { // in order, without what is secret
		wantHeaders(t, expectMessage(t, c, body), "subscription", "s")
	}
	publish(t, b, "/topic/slow/1", "5") // the answer is remembered
	publish(t, b, "/topic/slow/secret", "secret for ever")
	expectMessage(t, c, "5")
	c.Send("UNSUBSCRIBE", "", "id", "s")
	wantMessages(t, c)
	if n := a.calls.Load(); n != 3 {
		t.Errorf("asked %d times for three destinations", n)
	}
	if n := b.Stats().Denied; n != 1 {
		t.Errorf("%d denials are counted, want 1 for the one destination", n)
	}
}

func TestUnsubscribeWhileTheAuthorizerThinks(t *testing.T) {
	a := newBlockingAuthorizer()
	b := brokertest.New(t, broker.Options{Authorizer: a})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/**")
	publish(t, b, "/topic/slow/1", "1")
	testkit.Receive(t, a.asked)
	publish(t, b, "/topic/slow/1", "2")
	c.Send("UNSUBSCRIBE", "", "id", "s", "receipt", "end")
	c.ExpectReceipt(t, "end")
	c.Subscribe(t, "s", "/topic/**") // the same id, another subscription
	close(a.answer)
	publish(t, b, "/topic/slow/1", "3")
	expectMessage(t, c, "3")
	wantMessages(t, c)
}

// The client leaves, or the broker does: the hook's context ends.
func TestSessionEndsWhileTheAuthorizerThinks(t *testing.T) {
	a := newBlockingAuthorizer()
	b := brokertest.New(t, broker.Options{Authorizer: a})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/**")
	publish(t, b, "/topic/slow/1", "1")
	testkit.Receive(t, a.asked)
	c.Close() // and goleak sees that nobody waits for the answer for ever
}

// What waits for the authorizer is bounded; over it the session is ended, for a
// reason that does not blame the client, and the publisher goes on.
func TestTooMuchWaitsForTheAuthorizer(t *testing.T) {
	a := newBlockingAuthorizer()
	b := brokertest.New(t, broker.Options{Authorizer: a})
	c, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/**")
	other.Subscribe(t, "s", "/topic/fast")
	for range 2000 {
		publish(t, b, "/topic/slow/1", "x")
	}
	publish(t, b, "/topic/fast", "x")
	wantMessages(t, other, "x")
	wantError(t, c, 1013, "more than 524288 bytes wait for the authorization of your patterns (limits.outbox)")
	if n := b.Stats().Ended["authorizer-slow"]; n != 1 {
		t.Errorf("%d sessions are counted as authorizer-slow, want 1", n)
	}
}

// fromMemory is an Authorizer that never blocks.
type fromMemory struct{ auth.AuthorizerFunc }

func (fromMemory) NonBlocking() {}

// An Authorizer that never blocks is called directly, with the context of the
// broker; any other is called with that of the session.
func TestNonBlockingAuthorizer(t *testing.T) {
	for kind, direct := range map[string]bool{"a function": false, "embeds Rules": false, "from memory": true} {
		asked := make(chan context.Context, 1)
		f := auth.AuthorizerFunc(func(ctx context.Context, _ *auth.Principal, _ auth.Action, _ string) error {
			asked <- ctx
			return nil
		})
		o := broker.Options{Authorizer: f}
		switch kind {
		case "embeds Rules":
			o.Authorizer = rulesThen{rules(t), f}
		case "from memory":
			o.Authorizer = fromMemory{f}
		}
		b := brokertest.New(t, o)
		left := make(chan struct{})
		b.Observe(broker.Observer{Disconnected: func(broker.SessionInfo, *broker.Error) { close(left) }})
		c := brokertest.Connect(t, b)
		c.Subscribe(t, "1", "/topic/a")
		ctx := testkit.Receive(t, asked)
		c.Send("DISCONNECT", "")
		testkit.Receive(t, left)
		if !direct {
			testkit.Receive(t, ctx.Done())
			continue
		}
		if err := ctx.Err(); err != nil {
			t.Errorf("%s: the context of the broker ended with a session: %v", kind, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		testkit.Receive(t, ctx.Done())
	}
}

// rulesThen embeds rules and asks somebody else first, which may block.
type rulesThen struct {
	*auth.Rules
	first auth.Authorizer
}

func (r rulesThen) Authorize(ctx context.Context, p *auth.Principal, act auth.Action, destination string) error {
	return r.first.Authorize(ctx, p, act, destination)
}
