package broker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// Presence needs a rule of its own, and the right to subscribe to the topic.
func TestPresenceNeedsItsRule(t *testing.T) {
	lists, watches := "/app/presence"+room, "/topic/presence"+room
	for name, c := range map[string]struct {
		authorizer     auth.Authorizer
		lists, watches string // the end of the error
	}{
		"the built-in rules":  {auth.Guarded(), "it needs a rule for /app/presence/", "it needs a rule for /topic/presence/"},
		"development":         {auth.Open(), "", ""},
		"rules for all":       {rules(t, allow("/**", auth.Subscribe)), "it needs a rule for /app/presence/", "it needs a rule for /topic/presence/"},
		"rules for topics":    {guarded(t, allow("/topic/**", auth.Subscribe)), "it needs a rule for /app/presence/", "it needs a rule for /topic/presence/"},
		"rules for lists":     {guarded(t, allow("/app/presence/**", auth.Subscribe)), "", "it needs a rule for /topic/presence/"},
		"rules for events":    {guarded(t, allow("/topic/presence/topic/room/*", auth.Subscribe)), "it needs a rule for /app/presence/", ""},
		"a rule that is late": {guarded(t, deny("/topic/presence/**", auth.Subscribe), allow("/topic/presence/**", auth.Subscribe), allow("/app/presence/**", auth.Subscribe)), "", "it needs a rule for /topic/presence/"},
		"rules for another":   {guarded(t, allow("/topic/presence/topic/room/8", auth.Subscribe), allow("/app/presence/topic/room/8", auth.Subscribe)), "it needs a rule for /app/presence/", "it needs a rule for /topic/presence/"},
		"not the topic": {
			rules(t, allow("/topic/presence/**", auth.Subscribe), allow("/app/presence/**", auth.Subscribe)),
			`not allowed to subscribe to \"/topic/room/7\"`, `not allowed to subscribe to \"/topic/room/7\"`,
		},
		"code that allows": {auth.AuthorizerFunc(func(_ context.Context, _ *auth.Principal, _ auth.Action, d string) error {
			if d != room && d != lists {
				return auth.ErrDenied
			}
			return nil
		}), "", "/topic/presence/topic/room/7"},
	} {
		b := brokertest.New(t, broker.Options{Presence: rooms, Authorizer: c.authorizer})
		for destination, want := range map[string]string{lists: c.lists, watches: c.watches, strings.Replace(lists, "/topic", "//topic", 1): c.lists} {
			ann := brokertest.Connect(t, b, "login", "ann")
			ann.Send("SUBSCRIBE", "", "id", "1", "destination", destination, "receipt", "r")
			f, err := ann.Receive()
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case want == "" && f.Command != "RECEIPT" && f.Command != "MESSAGE":
				t.Errorf("%s: %s: %s", name, destination, f.Get("message"))
			case want != "" && (f.Command != "ERROR" || !strings.Contains(f.Get("message"), strings.ReplaceAll(want, `\`, ""))):
				t.Errorf("%s: %s: %s %q, want %q", name, destination, f.Command, f.Get("message"), want)
			}
			ann.Close()
		}
	}
}

// Whoever loses the rule no longer watches.
func TestPresenceFollowsThePolicy(t *testing.T) {
	b := brokertest.New(t, broker.Options{Presence: rooms, Authorizer: presenceRules(t)})
	ann := brokertest.Connect(t, b, "login", "ann")
	ann.Subscribe(t, "s", "/user/topic/session")
	ann.Subscribe(t, "watch", "/topic/presence"+room)
	setPolicy(t, b, broker.Policy{Authorizer: auth.Guarded()})
	ann.Send("UNSUBSCRIBE", "", "id", "none") // a Transport looks at its policy when the client sends
	expectMessage(t, ann, `{"event":"subscription-ended","subscription":"watch","destination":"/topic/presence/topic/room/7"}`)
}

// A pattern shows nobody's presence, whatever it matches and whatever the rules
// allow, and one for presence alone is refused.
func TestPatternsDoNotShowPresence(t *testing.T) {
	timeless(t, broker.Options{
		Presence: []string{"/topic/**"}, History: []broker.History{{Destination: "/topic/**"}},
		Authorizer: rules(t, allow("/**", auth.Subscribe), allow("/topic/presence/**", auth.Subscribe)),
	}, func(t *testing.T, b *broker.Broker) {
		c := brokertest.Connect(t, b, "login", "ann")
		c.Subscribe(t, "1", "/topic/**")
		c.Subscribe(t, "2", "/topic/presenc?/topic/room/7")
		c.Subscribe(t, "3", "/topic/*/topic/**")
		local := make(chan string, 10)
		note := func(_ context.Context, m *broker.Message) error {
			local <- m.Destination
			return nil
		}
		for _, destination := range []string{"/topic/**", "/topic/presence" + room} {
			s, err := b.Subscribe(t.Context(), destination, broker.SubscribeOptions{}, note)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Cancel()
		}
		watcher := brokertest.Connect(t, b, "login", "bob")
		publish(t, b, "/topic/x", "1")
		offset := expectMessage(t, c, "1").Get("offset")
		watcher.Send("SUBSCRIBE", "", "id", "1", "destination", "/topic/presence"+room, "offset", offset, "receipt", "r")
		wantHeaders(t, watcher.Expect(t, "RECEIPT"), "recovered", "false") // events have no history
		brokertest.Connect(t, b, "login", "cid").Subscribe(t, "1", room)
		watcher.Expect(t, "MESSAGE")
		time.Sleep(time.Minute)
		wantMessages(t, c)
		if a, b := <-local, <-local; a != "/topic/x" || b != "/topic/presence"+room || len(local) != 0 {
			t.Errorf("the program's subscriptions got %s, %s and %d more", a, b, len(local))
		}
		for _, destination := range []string{"/topic/presence/**", "/topic/presence/topic/room/*", "/topic//presence/topic/room/?"} {
			c := brokertest.Connect(t, b, "login", "ann")
			c.Send("SUBSCRIBE", "", "id", "1", "destination", destination)
			wantError(t, c, 4403, "presence is watched one topic at a time, not by a pattern")
			if _, err := b.Subscribe(t.Context(), destination, broker.SubscribeOptions{}, note); err == nil {
				t.Errorf("the program subscribes to %s", destination)
			}
		}
		for destination, text := range map[string]string{
			"/topic/presence":              `no presence is kept for "" (presence)`,
			"/topic/presence/queue/a":      `no presence is kept for "/queue/a" (presence)`,
			"/app/presence/queue/a":        `no presence is kept for "/queue/a" (presence)`,
			"/app/presence":                "nothing handles messages for this destination",
			"/topic/presence//topic/a":     `write "/topic/presence//topic/a" without empty segments`,
			"/topic/presence" + room + "/": `write "/topic/presence/topic/room/7/" without empty segments`,
		} {
			c := brokertest.Connect(t, b, "login", "ann")
			c.Send("SUBSCRIBE", "", "id", "1", "destination", destination)
			if f := c.Expect(t, "ERROR"); f.Get("message") != text {
				t.Errorf("%s: %q, want %q", destination, f.Get("message"), text)
			}
		}
	})
}

// Only the broker sends events, whatever the rules allow.
func TestPresenceCannotBeForged(t *testing.T) {
	all := rules(t, allow("/**", auth.Subscribe, auth.Send), allow("/topic/presence/**", auth.Subscribe, auth.Send))
	b := brokertest.New(t, broker.Options{Presence: rooms, Authorizer: all})
	for _, headers := range [][]string{
		{"destination", "/topic/presence" + room},
		{"destination", "/topic//presence/" + room},
		{"destination", "/topic/presence"},
		{"destination", "/topic/presence/x"},
		{"destination", "/topic/presence" + room, "delay", "100000"},
		{"destination", "/topic/presence" + room, "message-dedup-id", "1"},
		{"destination", "/topic/presence" + room, "transaction", "1"},
	} {
		c := brokertest.Connect(t, b, "login", "ann")
		c.Send("BEGIN", "", "transaction", "1")
		c.Send("SEND", "{}", headers...)
		c.Send("COMMIT", "", "transaction", "1")
		if f := c.Expect(t, "ERROR"); !strings.HasPrefix(f.Get("message"), "not allowed to send a message to") {
			t.Errorf("%v: %s", headers, f.Get("message"))
		}
	}
	if err := b.Publish(t.Context(), &broker.Message{Destination: "/topic/presence" + room}); !errors.Is(err, broker.ErrDestination) {
		t.Errorf("the program: %v", err)
	}
	if _, err := b.Subscribe(t.Context(), "/topic/presence/topic/a", broker.SubscribeOptions{}, func(context.Context, *broker.Message) error { return nil }); err == nil {
		t.Error("the program watches a topic without presence")
	}

	// Without presence they are topics like others.
	b = brokertest.New(t, broker.Options{Authorizer: all})
	c := brokertest.Connect(t, b, "login", "ann")
	c.Subscribe(t, "1", "/topic/presence"+room)
	publish(t, b, "/topic/presence"+room, "x")
	wantMessages(t, c, "x")
}
