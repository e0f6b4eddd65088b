package broker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// The MESSAGE says what the client subscribed with, whoever sent it and how.
func TestUserDestinationMessageHandler_OrigDestination(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	c := brokertest.Connect(t, b, "login", "alice")
	c.Subscribe(t, "s", "/user/queue/x")
	notify(t, b, "alice", "/queue/x", "1", 1)
	notifySession(t, b, c.Session, "/queue/x", "2", 1)
	publish(t, b, "/user/alice/queue/x", "3")
	for _, m := range wantMessages(t, c, "1", "2", "3") {
		wantHeaders(t, m, "destination", "/user/queue/x", "subscription", "s", "simpOrigDestination", "-")
	}
	c.Send("UNSUBSCRIBE", "", "id", "s") // by id, as everywhere
	c.Sync(t)
	notify(t, b, "alice", "/queue/x", "4", 0)
}

func TestUserDestinationMessageHandler_AnonymousSessions(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/user/queue/x")
	notifySession(t, b, c.Session, "/queue/x", "x", 1)
	wantHeaders(t, wantMessages(t, c, "x")[0], "destination", "/user/queue/x")
}

// In Spring the private queue is /queue/x-user<session>, a name like any other:
// who knows the session id can subscribe and send to it.
func TestUserDestinationMessageHandler_PrivateQueues_Differs(t *testing.T) {
	b := brokertest.New(t, broadcast())
	alice, eve := brokertest.Connect(t, b, "login", "alice"), brokertest.Connect(t, b, "login", "eve")
	alice.Subscribe(t, "s", "/user/queue/x")
	eve.Subscribe(t, "s", "/queue/x-user"+alice.Session) // a queue that nobody sends to
	eve.Subscribe(t, "all", "/queue/**")
	notify(t, b, "alice", "/queue/x", "secret", 1)
	wantMessages(t, alice, "secret")
	wantMessages(t, eve)
	eve.Send("SEND", "forged", "destination", "/queue/x-user"+alice.Session)
	wantMessages(t, eve, "forged", "forged")
	wantMessages(t, alice)
	eve.Send("SUBSCRIBE", "", "id", "named", "destination", "/user/alice/queue/x")
	wantError(t, eve, 4403, "another user")
}

// In Spring any client may send to /user/{anybody}/… until rules forbid it.
func TestUserDestinationMessageHandler_SendNeedsARule_Differs(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	alice, eve := brokertest.Connect(t, b, "login", "alice"), brokertest.Connect(t, b, "login", "eve")
	alice.Subscribe(t, "s", "/user/queue/x")
	eve.Send("SEND", "forged", "destination", "/user/alice/queue/x", "receipt", "r")
	wantHeaders(t, wantError(t, eve, 4403, "not allowed to send"), "receipt-id", "r")
	wantMessages(t, alice)
}

// named lets everybody send to every user, as Spring does.
func named(t *testing.T) broker.Options {
	return broker.Options{Authorizer: rules(t, allow("/user/**", auth.Subscribe), allow("/user/*/queue/**", auth.Send))}
}

func TestDefaultUserDestinationResolver_AllSessionsOfAUser(t *testing.T) {
	b := brokertest.New(t, named(t))
	sender := brokertest.Connect(t, b, "login", "bob")
	one, two := brokertest.Connect(t, b, "login", "alice"), brokertest.Connect(t, b, "login", "alice")
	one.Subscribe(t, "1", "/user/queue/x")
	two.Subscribe(t, "2", "/user/queue/x")
	send(t, sender, "/user/alice/queue/x", "hello", "k", "v")
	send(t, sender, "/user/nobody/queue/x", "hello") // no user, no error
	for id, c := range map[string]*brokertest.Client{"1": one, "2": two} {
		wantHeaders(t, wantMessages(t, c, "hello")[0], "destination", "/user/queue/x", "subscription", id, "k", "v")
	}
}

// In Spring who sends to himself reaches only the session he sends from.
func TestDefaultUserDestinationResolver_ToOneself_Differs(t *testing.T) {
	b := brokertest.New(t, named(t))
	one, two := brokertest.Connect(t, b, "login", "alice"), brokertest.Connect(t, b, "login", "alice")
	one.Subscribe(t, "s", "/user/queue/x")
	two.Subscribe(t, "s", "/user/queue/x")
	one.Send("SEND", "to all my tabs", "destination", "/user/alice/queue/x")
	wantMessages(t, one, "to all my tabs")
	wantMessages(t, two, "to all my tabs")
}

// In Spring a session id works in the place of the name if it is the sender's own.
func TestDefaultUserDestinationResolver_SessionIDIsNoName_Differs(t *testing.T) {
	b := brokertest.New(t, named(t))
	c := brokertest.Connect(t, b, "login", "alice")
	c.Subscribe(t, "s", "/user/queue/x")
	send(t, c, "/user/"+c.Session+"/queue/x", "x")
	wantMessages(t, c)
}

func TestDefaultUserDestinationResolver_PercentEncodedNames(t *testing.T) {
	b := brokertest.New(t, named(t))
	sender := brokertest.Connect(t, b, "login", "bob")
	c := brokertest.Connect(t, b, "login", "https://sso.example/alice")
	c.Subscribe(t, "s", "/user/queue/x")
	send(t, sender, "/user/https:%2F%2Fsso.example%2Falice/queue/x", "hello")
	notify(t, b, "https://sso.example/alice", "/queue/x", "from the program", 1) // it escapes nothing
	wantHeaders(t, wantMessages(t, c, "hello", "from the program")[0], "destination", "/user/queue/x")
}

// Spring decodes %2F and nothing else, so that a/b and a%2Fb are one user; and
// its template refuses names with %2F in them.
func TestDefaultUserDestinationResolver_PercentSigns_Differs(t *testing.T) {
	b := brokertest.New(t, named(t))
	sender := brokertest.Connect(t, b, "login", "bob")
	slash, percent := brokertest.Connect(t, b, "login", "a/b"), brokertest.Connect(t, b, "login", "a%2Fb")
	slash.Subscribe(t, "s", "/user/queue/x")
	percent.Subscribe(t, "s", "/user/queue/x")
	send(t, sender, "/user/a%2Fb/queue/x", "for a/b")
	send(t, sender, "/user/a%252Fb/queue/x", "for a%2Fb")
	notify(t, b, "a%2Fb", "/queue/x", "too", 1)
	wantMessages(t, slash, "for a/b")
	wantMessages(t, percent, "for a%2Fb", "too")
	sender.Send("SEND", "", "destination", "/user/100%/queue/x")
	wantError(t, sender, 1002, "%25")
}

func TestSimpMessagingTemplate_ConvertAndSend(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/a")
	if err := b.Publish(t.Context(), &broker.Message{
		Destination: "/topic/a", Body: []byte(`{"a":1}`),
		Headers: []broker.Header{{Name: "content-type", Value: "application/json"}, {Name: "k", Value: "v"}},
	}); err != nil {
		t.Fatal(err)
	}
	wantHeaders(t, wantMessages(t, c, `{"a":1}`)[0], "destination", "/topic/a", "content-type", "application/json", "k", "v")
}

func TestSimpMessagingTemplate_ConvertAndSendToUser(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	one, two, bob := brokertest.Connect(t, b, "login", "alice"), brokertest.Connect(t, b, "login", "alice"), brokertest.Connect(t, b, "login", "bob")
	for _, c := range []*brokertest.Client{one, two, bob} {
		c.Subscribe(t, "s", "/user/queue/x")
	}
	notify(t, b, "alice", "/queue/x", "hello", 2)
	notify(t, b, "nobody", "/queue/x", "hello", 0)
	wantMessages(t, one, "hello")
	wantMessages(t, two, "hello")
	wantMessages(t, bob)
}

// In Spring this takes a user name that is a session id and simpSessionId among
// the headers.
func TestSimpMessagingTemplate_SessionTargeted_Differs(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	one, two := brokertest.Connect(t, b, "login", "alice"), brokertest.Connect(t, b, "login", "alice")
	one.Subscribe(t, "s", "/user/queue/x")
	two.Subscribe(t, "s", "/user/queue/x")
	notifySession(t, b, one.Session, "/queue/x", "for one tab", 1)
	wantMessages(t, one, "for one tab")
	wantMessages(t, two)
	if _, err := b.PublishToSession(t.Context(), "no such session", &broker.Message{Destination: "/queue/x"}); err != broker.ErrNoSession {
		t.Errorf("PublishToSession to nobody: %v", err)
	}
}

// @SendToUser(broadcast = false)
func TestSendToUser_BroadcastFalse(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	handle(t, b, "/greet", func(ctx context.Context, r *broker.Request) error {
		_, err := r.Reply(ctx, &broker.Message{Body: fmt.Appendf(nil, "hello %s", r.Body)})
		return err
	})
	one, two, nobody := brokertest.Connect(t, b, "login", "alice"), brokertest.Connect(t, b, "login", "alice"), brokertest.Connect(t, b)
	for _, c := range []*brokertest.Client{one, two, nobody} {
		c.Subscribe(t, "s", "/user/queue/greet") // /queue and the path behind /app, as in Spring
	}
	one.Send("SEND", "Alice", "destination", "/app/greet")
	wantHeaders(t, wantMessages(t, one, "hello Alice")[0], "destination", "/user/queue/greet", "subscription", "s")
	wantMessages(t, two)
	nobody.Send("SEND", "you", "destination", "/app/greet")
	wantMessages(t, nobody, "hello you")
}

// @SendToUser: all sessions of the user
func TestSendToUser_BroadcastTrue(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	handle(t, b, "/greet", func(ctx context.Context, r *broker.Request) error {
		_, err := b.PublishToUser(ctx, r.Principal.Name, &broker.Message{Destination: "/queue/greet", Body: r.Body})
		return err
	})
	one, two := brokertest.Connect(t, b, "login", "alice"), brokertest.Connect(t, b, "login", "alice")
	one.Subscribe(t, "s", "/user/queue/greet")
	two.Subscribe(t, "s", "/user/queue/greet")
	send(t, brokertest.Connect(t, b, "login", "alice"), "/app/greet", "hello")
	wantMessages(t, one, "hello")
	wantMessages(t, two, "hello")
}

// @MessageMapping with @SendTo: what the handler publishes. Spring sends a return
// value to /topic/greet by itself; here a handler says where.
func TestMessageMapping_SendTo_Differs(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	handle(t, b, "/app/rooms/*", func(ctx context.Context, r *broker.Request) error {
		return b.Publish(ctx, &broker.Message{Destination: "/topic" + r.Destination, Body: r.Body, Headers: []broker.Header{{Name: "from", Value: r.Principal.Name}}})
	})
	sender, c := brokertest.Connect(t, b, "login", "alice"), brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/topic/rooms/7")
	send(t, sender, "/app/rooms/7", "hello")
	wantHeaders(t, wantMessages(t, c, "hello")[0], "destination", "/topic/rooms/7", "from", "alice")
}

// One answer, straight to the subscription, which is not registered.
func TestSubscribeMapping_AnswersOnce(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	handle(t, b, "/app/state", func(ctx context.Context, r *broker.Request) error {
		if !r.Subscribe {
			t.Error("a SUBSCRIBE came as a SEND")
		}
		_, err := r.Reply(ctx, &broker.Message{Body: []byte("the state")})
		return err
	})
	c, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
	other.Subscribe(t, "s", "/app/state")
	wantMessages(t, other, "the state")
	c.Subscribe(t, "s", "/app/state")
	wantHeaders(t, wantMessages(t, c, "the state")[0], "destination", "/app/state", "subscription", "s")
	wantMessages(t, other)
	if n := b.Stats().Subscriptions; n != 0 {
		t.Errorf("%d subscriptions are registered", n)
	}
	c.Send("UNSUBSCRIBE", "", "id", "s")
	wantMessages(t, c)
}

// Spring logs what a handler throws, and the client hears nothing.
func TestMessageExceptionHandler_TheClientHears_Differs(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	handle(t, b, "/public", func(context.Context, *broker.Request) error {
		return &broker.Error{Reason: broker.ReasonDenied, Message: "no such room"}
	})
	handle(t, b, "/private", func(context.Context, *broker.Request) error {
		return fmt.Errorf("dial db.internal: refused")
	})
	for path, want := range map[string]struct {
		code int
		text string
	}{"/app/public": {4403, "no such room"}, "/app/private": {1011, "internal error"}} {
		c := brokertest.Connect(t, b)
		c.Send("SEND", "", "destination", path, "receipt", "r")
		e := wantError(t, c, want.code, want.text)
		wantHeaders(t, e, "receipt-id", "r")
		if strings.Contains(e.Get("message"), "db.internal") {
			t.Errorf("the client was told %q", e.Get("message"))
		}
	}
}
