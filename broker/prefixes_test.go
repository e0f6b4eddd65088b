package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/topics"
)

// A page's private destinations need not be called topic or queue.
func TestPrivateDestinationsOfAnyName(t *testing.T) {
	for _, login := range []string{"", "ann"} {
		t.Run(login, func(t *testing.T) {
			b := newBroker(t, broker.Options{Authorizer: auth.Guarded()})
			c := brokertest.Connect(t, b, "login", login)
			c.Subscribe(t, "1", "/user/events")
			c.Subscribe(t, "2", "/user/feed/news")
			for _, destination := range []string{"/events", "/user/feed/news"} {
				if d, err := b.PublishToSession(t.Context(), c.Session, &broker.Message{Destination: destination, Body: []byte("x")}); err != nil || d.Subscriptions != 1 {
					t.Errorf("%s: %+v, %v", destination, d, err)
				}
			}
			wantHeaders(t, expectMessage(t, c, "x"), "destination", "/user/events", "subscription", "1")
			wantHeaders(t, expectMessage(t, c, "x"), "destination", "/user/feed/news", "subscription", "2")
		})
	}
}

// SEND names a user, SUBSCRIBE what is one's own: a name alone never shows another
// user's messages.
func TestSendToAUsersDestinationOfAnyName(t *testing.T) {
	service := allow("/user/*/messages/**", auth.Send)
	service.AnyUser = true
	authorizer, err := auth.Guarded().Prepend(service)
	if err != nil {
		t.Fatal(err)
	}
	b := newBroker(t, broker.Options{Authorizer: authorizer})
	ann, bob := brokertest.Connect(t, b, "login", "ann"), brokertest.Connect(t, b, "login", "bob")
	bob.Subscribe(t, "1", "/user/messages/new")
	ann.Subscribe(t, "1", "/user/bob/messages/new") // her own, and nobody sends there
	send(t, ann, "/user/bob/messages/new", "hello")
	wantHeaders(t, expectMessage(t, bob, "hello"), "destination", "/user/messages/new")
	if got := ann.Sync(t); len(got) != 0 {
		t.Errorf("ann got %v", got)
	}
	ann.Send("SEND", "", "destination", "/user/bob/other")
	wantError(t, ann, 4403, `not allowed to send a message to "/user/bob/other"`)
}

func TestConfiguredPrefixes(t *testing.T) {
	p := topics.Prefixes{Topic: []string{"/topic", "/events"}, Queue: []string{"/jobs"}, App: []string{"/app", "/ws"}, User: "/me"}
	authorizer, err := auth.Prefixes(p).Open().Prepend(
		deny("/ws/secret", auth.Send), deny("/me/{user}/events/audit", auth.Subscribe), deny("/jobs/closed", auth.Subscribe))
	if err != nil {
		t.Fatal(err)
	}
	b := newBroker(t, broker.Options{Destinations: p, Authorizer: authorizer, Queues: broker.Queues{Attempts: 1}})
	for _, path := range []string{"/echo", "/ws/again", "/app/secret"} {
		handle(t, b, path, func(ctx context.Context, r *broker.Request) error {
			_, err := r.Reply(ctx, &broker.Message{Body: r.Body})
			return err
		})
	}
	c := brokertest.Connect(t, b, "login", "ann")
	c.Subscribe(t, "1", "/events/a")
	c.Subscribe(t, "2", "/me/queue/echo")
	c.Subscribe(t, "3", "/me/ann/events/x")
	c.Subscribe(t, "4", "/jobs/DLQ.a")
	c.Subscribe(t, "5", "/me/queue/again")
	c.Send("SEND", "topic", "destination", "/events/a")
	wantHeaders(t, expectMessage(t, c, "topic"), "destination", "/events/a")
	for _, destination := range []string{"/app/echo", "/ws/echo", "/me/events/echo"} {
		c.Send("SEND", destination, "destination", destination)
		wantHeaders(t, expectMessage(t, c, destination), "destination", "/me/queue/echo")
	}
	c.Send("SEND", "again", "destination", "/app/again")
	wantHeaders(t, expectMessage(t, c, "again"), "destination", "/me/queue/again")
	notify(t, b, "ann", "/events/x", "private", 1)
	wantHeaders(t, expectMessage(t, c, "private"), "destination", "/me/ann/events/x")

	c.Subscribe(t, "6", "/jobs/a", "ack", "client-individual")
	c.Send("SEND", "job", "destination", "/jobs/a")
	c.Send("NACK", "", "id", expectMessage(t, c, "job").Get("ack"))
	wantHeaders(t, expectMessage(t, c, "job"), "destination", "/jobs/DLQ.a", "original-destination", "/jobs/a")

	var shared []string
	for d := range b.Destinations() {
		shared = append(shared, d.Name)
	}
	if want := "[/events/a /jobs/DLQ.a /jobs/a]"; fmt.Sprint(slices.Sorted(slices.Values(shared))) != want {
		t.Errorf("destinations are %v, want %v", shared, want)
	}
	for _, tc := range []struct{ command, destination, want string }{
		{"SEND", "/app/secret", "not allowed"}, {"SEND", "/ws//secret", "not allowed"}, {"SEND", "/me/events/secret", "not allowed"},
		{"SUBSCRIBE", "/me/events/audit", "not allowed"}, {"SUBSCRIBE", "/me/ann/events/audit", "not allowed"},
		{"SUBSCRIBE", "/me/bob/events/x", "destinations of another user"}, {"SUBSCRIBE", "/jobs/DLQ.closed", "not allowed"},
	} {
		c := brokertest.Connect(t, b, "login", "ann")
		c.Send(tc.command, "", "id", "1", "destination", tc.destination)
		wantError(t, c, 4403, tc.want)
	}
	c = brokertest.Connect(t, b, "login", "ann")
	c.Send("SEND", "", "destination", "/queue/a")
	wantError(t, c, 1002, "destination must begin with /topic/, /events/, /jobs/, /app/, /ws/ or /me/")
}

// A program purges a queue by the name that the broker is configured for.
func TestPurgeOfAConfiguredPrefix(t *testing.T) {
	b := newBroker(t, broker.Options{Destinations: topics.Prefixes{Topic: []string{"/topic"}, Queue: []string{"/jobs"}, App: []string{"/app"}, User: "/user"}})
	publish(t, b, "/jobs/a", "1")
	publish(t, b, "/jobs/a", "2")
	if n, err := b.Purge("/jobs/a"); n != 2 || err != nil {
		t.Errorf("%d messages were removed, %v", n, err)
	}
	if _, err := b.Purge("/queue/a"); !errors.Is(err, broker.ErrDestination) {
		t.Errorf("a name without the prefix: %v", err)
	}
}

// The built-in rules hold for whatever is nothing else, and nothing more.
func TestTopicsWithoutAPrefix(t *testing.T) {
	p := topics.Prefixes{Topic: []string{"/"}}
	for name, tc := range map[string]struct {
		rules *auth.Rules
		send  bool
	}{"open": {auth.Prefixes(p).Open(), true}, "guarded": {auth.Prefixes(p).Guarded(), false}} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, broker.Options{Destinations: p, Authorizer: tc.rules, Queues: broker.Queues{Mode: broker.QueueBroadcast}})
			c := brokertest.Connect(t, b, "login", "ann")
			c.Subscribe(t, "1", "/chat/rooms/1")
			c.Subscribe(t, "2", "/**")
			publish(t, b, "/chat/rooms/1", "hello")
			expectMessage(t, c, "hello")
			expectMessage(t, c, "hello")
			notify(t, b, "ann", "/queue/x", "private", 0)
			c.Send("SEND", "mine", "destination", "/chat/rooms/1", "receipt", "r")
			if !tc.send {
				wantError(t, c, 4403, "not allowed")
				// A pattern of everything is not a way to the queues.
				c = brokertest.Connect(t, b, "login", "ann")
				c.Subscribe(t, "1", "/**")
				publish(t, b, "/queue/secret", "secret")
				publish(t, b, "/chat", "last")
				expectMessage(t, c, "last")
			}
			for _, destination := range []string{"/user/bob/queue/x", "/user/bob/x"} {
				c := brokertest.Connect(t, b, "login", "ann")
				c.Send("SEND", "", "destination", destination)
				wantError(t, c, 4403, "not allowed")
			}
		})
	}
}

// A ? in the destination of a message is a character.
func TestQuestionMarkInASend(t *testing.T) {
	b := newBroker(t, broker.Options{Authorizer: auth.Open()})
	c, sender := brokertest.Connect(t, b), brokertest.Connect(t, b)
	c.Subscribe(t, "1", "/topic/**")
	send(t, sender, "/topic/items?category=5", "x")
	wantHeaders(t, expectMessage(t, c, "x"), "destination", "/topic/items?category=5")
	publish(t, b, "/topic/items?category=6", "y")
	expectMessage(t, c, "y")
	for _, destination := range []string{"/topic/items*", "/queue/items?category=5", "/user/queue/items?"} {
		c := brokertest.Connect(t, b)
		c.Send("SEND", "", "destination", destination)
		wantError(t, c, 1002, "a message cannot be sent to a pattern")
	}
}
