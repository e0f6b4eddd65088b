package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/topics"
)

const room = "/topic/room/7"

var rooms = []string{"/topic/room/**"}

// presenceRules are the guarded rules and those for presence.
func presenceRules(t testing.TB) *auth.Rules {
	return guarded(t, allow("/topic/presence/**", auth.Subscribe), allow("/app/presence/**", auth.Subscribe))
}

func guarded(t testing.TB, list ...auth.Rule) *auth.Rules {
	t.Helper()
	r, err := auth.Guarded().Prepend(list...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// presenceEvent is an event as a client reads it.
type presenceEvent struct {
	Destination string
	Node        string
	Number      uint64
	Joined      []struct {
		User  string
		Since time.Time
	}
	Left      []string
	Users     int
	Anonymous int
}

// names returns who has joined and left.
func (e *presenceEvent) names() string {
	var names []string
	for _, j := range e.Joined {
		names = append(names, "+"+j.User)
	}
	for _, user := range e.Left {
		names = append(names, "-"+user)
	}
	return strings.Join(names, " ")
}

// expectEvent returns the next event of the room.
func expectEvent(t *testing.T, c *brokertest.Client, names string) presenceEvent {
	t.Helper()
	f := c.Expect(t, "MESSAGE")
	var e presenceEvent
	if err := json.Unmarshal(f.Body, &e); err != nil {
		t.Fatalf("%s: %v", f.Body, err)
	}
	if e.names() != names || e.Destination != room || e.Joined == nil || e.Left == nil {
		t.Fatalf("the event is %s, want %q", f.Body, names)
	}
	wantHeaders(t, f, "destination", "/topic/presence"+room, "content-type", "application/json")
	return e
}

// presenceList is an answer as a client reads it.
type presenceList struct {
	Destination string
	At          map[string]uint64
	Users       []broker.PresentUser
	Total       int
	Anonymous   int
	Next        string
}

// askPresence asks who is in the room.
func askPresence(t *testing.T, c *brokertest.Client, headers ...string) (list presenceList) {
	t.Helper()
	c.Send("SUBSCRIBE", "", append([]string{"id", "ask", "destination", "/app/presence" + room}, headers...)...)
	f := c.Expect(t, "MESSAGE")
	if err := json.Unmarshal(f.Body, &list); err != nil {
		t.Fatalf("%s: %v", f.Body, err)
	}
	wantHeaders(t, f, "subscription", "ask", "destination", "/app/presence"+room, "content-type", "application/json")
	return list
}

// people returns the users of a list and their numbers of sessions.
func (l *presenceList) people() string {
	var names []string
	for _, u := range l.Users {
		names = append(names, fmt.Sprint(u.User, u.Sessions))
	}
	return strings.Join(names, " ")
}

// A client lists a room and watches it. Users join and leave, not sessions, and
// who reconnects within two seconds has not left.
func TestPresence(t *testing.T) {
	timeless(t, broker.Options{Presence: rooms, Authorizer: presenceRules(t)}, func(t *testing.T, b *broker.Broker) {
		ann := brokertest.Connect(t, b, "login", "ann")
		ann.Subscribe(t, "room", room)
		list := askPresence(t, ann)
		node := ann.Session[:6]
		if list.people() != "ann1" || list.Total != 1 || list.Destination != room || list.Next != "" || len(list.At) != 1 {
			t.Fatalf("after the RECEIPT, the list is %+v", list)
		}
		if _, ok := list.At[node]; !ok {
			t.Errorf("the list is at %v, not at the tag of the session %s", list.At, ann.Session)
		}
		ann.Subscribe(t, "watch", "/topic/presence"+room)
		e := expectEvent(t, ann, "+ann") // known already
		if e.Node != node || e.Number != list.At[node]+1 || !e.Joined[0].Since.Equal(list.Users[0].Since) || time.Since(e.Joined[0].Since).Abs() > time.Second {
			t.Errorf("after %+v comes %+v", list, e)
		}

		bob := brokertest.Connect(t, b, "login", "bob")
		bob.Subscribe(t, "1", room)
		bob.Subscribe(t, "2", room) // the same session
		again := brokertest.Connect(t, b, "login", "bob")
		again.Subscribe(t, "1", room)
		brokertest.Connect(t, b, "login", "cid").Subscribe(t, "1", "/topic/room/8")
		brokertest.Connect(t, b, "login", "dan").Subscribe(t, "1", "/topic/room/*") // a pattern is in no room
		local, err := b.Subscribe(t.Context(), room, broker.SubscribeOptions{}, func(context.Context, *broker.Message) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		defer local.Cancel()
		if e = expectEvent(t, ann, "+bob"); e.Users != 2 {
			t.Errorf("%+v", e)
		}
		if list = askPresence(t, ann); list.people() != "ann1 bob2" || list.At[node] != e.Number {
			t.Errorf("after event %d the list is %+v", e.Number, list)
		}

		bob.Send("UNSUBSCRIBE", "", "id", "1")
		again.Close()
		bob.Sync(t)
		time.Sleep(time.Minute)
		if list = askPresence(t, ann); list.people() != "ann1 bob1" {
			t.Errorf("with one of two sessions the list is %+v", list)
		}
		bob.Close()
		time.Sleep(1900 * time.Millisecond)
		if list = askPresence(t, ann); list.people() != "ann1 bob0" {
			t.Errorf("in the grace the list is %+v", list)
		}
		bob = brokertest.Connect(t, b, "login", "bob")
		bob.Subscribe(t, "1", room)
		time.Sleep(time.Minute)
		wantMessages(t, ann)
		if list := askPresence(t, ann); list.people() != "ann1 bob1" {
			t.Errorf("after the reconnect the list is %+v", list)
		}

		left := time.Now()
		bob.Send("UNSUBSCRIBE", "", "id", "1")
		bob.Sync(t)
		e2 := expectEvent(t, ann, "-bob")
		if d := time.Since(left); d < 2*time.Second || d > 2500*time.Millisecond {
			t.Errorf("the leave was announced after %v", d)
		}
		if e2.Number != e.Number+1 || e2.Users != 1 {
			t.Errorf("after %+v comes %+v", e, e2)
		}
	})
}

// Sessions without a name are counted, and nothing more is told of them.
func TestAnonymousPresence(t *testing.T) {
	timeless(t, broker.Options{Presence: rooms, Authorizer: presenceRules(t)}, func(t *testing.T, b *broker.Broker) {
		ann := brokertest.Connect(t, b, "login", "ann")
		ann.Subscribe(t, "watch", "/topic/presence"+room)
		var list []*brokertest.Client
		for range 3 {
			c := brokertest.Connect(t, b, "login", "")
			c.Subscribe(t, "1", room)
			list = append(list, c)
		}
		if e := expectEvent(t, ann, ""); e.Anonymous != 3 || e.Users != 0 {
			t.Errorf("%+v", e)
		}
		if l := askPresence(t, ann); l.Anonymous != 3 || l.Total != 0 || l.Users == nil {
			t.Errorf("%+v", l)
		}
		list[0].Close() // a page that is loaded again
		brokertest.Eventually(t, "its session ends", func() bool { return b.Stats().Sessions == 3 })
		brokertest.Connect(t, b, "login", "").Subscribe(t, "1", room)
		time.Sleep(time.Minute)
		wantMessages(t, ann)
		list[1].Close()
		if e := expectEvent(t, ann, ""); e.Anonymous != 2 {
			t.Errorf("%+v", e)
		}
	})
}

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

// The lists are paged: nobody who stays is missing or comes twice.
func TestPresencePages(t *testing.T) {
	timeless(t, broker.Options{Presence: rooms, Authorizer: presenceRules(t)}, func(t *testing.T, b *broker.Broker) {
		const people = 2100
		for i := range people {
			brokertest.Connect(t, b, "login", fmt.Sprint("u", i)).Subscribe(t, "1", room)
		}
		ann := brokertest.Connect(t, b, "login", "ann")
		var sizes []int
		next := 0
		for after := ""; ; {
			var list presenceList
			if after == "" {
				list = askPresence(t, ann)
			} else {
				list = askPresence(t, ann, "after", after)
			}
			for _, u := range list.Users {
				if u.User != fmt.Sprint("u", next) {
					t.Fatalf("user %d is %s", next, u.User)
				}
				next++
			}
			if sizes = append(sizes, len(list.Users)); list.Total != people {
				t.Errorf("%d in all", list.Total)
			}
			if after = list.Next; after == "" {
				break
			}
		}
		if !slices.Equal(sizes, []int{1000, 1000, 100}) {
			t.Errorf("the pages have %v", sizes)
		}
		all, err := b.Presence(room)
		if err != nil || len(all.Users) != people || all.Destination != room || all.Node != ann.Session[:6] || all.Users[7].User != "u7" {
			t.Errorf("%d users, %v", len(all.Users), err)
		}
		ann.Send("SUBSCRIBE", "", "id", "1", "destination", "/app/presence"+room, "after", "abcdef-1")
		wantError(t, ann, 1002, `after must be the next of an answer of this broker, not "abcdef-1"`)
	})
}

func TestPresenceOfTheProgram(t *testing.T) {
	b := brokertest.New(t, broker.Options{Presence: rooms})
	if p, err := b.Presence(room); err != nil || p.Users == nil || len(p.Users) != 0 || p.Anonymous != 0 {
		t.Errorf("an empty room: %+v, %v", p, err)
	}
	for _, destination := range []string{"/topic/a", "/topic/room/*", "/topic/room/7/", "/queue/a", "x", "/app/presence" + room, "/topic/presence" + room} {
		if _, err := b.Presence(destination); !errors.Is(err, broker.ErrDestination) {
			t.Errorf("%s: %v", destination, err)
		}
	}
	if _, err := brokertest.New(t, broker.Options{}).Presence(room); !errors.Is(err, broker.ErrDestination) {
		t.Errorf("without presence: %v", err)
	}
}

// If too many have left, the first goes at once: a watcher sees a gap in the
// numbers and asks anew.
func TestPresenceGap(t *testing.T) {
	timeless(t, broker.Options{Presence: rooms, Authorizer: presenceRules(t), Limits: broker.Limits{PresenceLeaving: 1}}, func(t *testing.T, b *broker.Broker) {
		ann := brokertest.Connect(t, b, "login", "ann")
		ann.Subscribe(t, "watch", "/topic/presence"+room)
		var list []*brokertest.Client
		for _, user := range []string{"bob", "cid", "dan"} {
			c := brokertest.Connect(t, b, "login", user)
			c.Subscribe(t, "1", room)
			list = append(list, c)
		}
		e := expectEvent(t, ann, "+bob +cid +dan")
		for _, c := range list[:2] {
			c.Send("UNSUBSCRIBE", "", "id", "1")
			c.Sync(t)
		}
		gap := expectEvent(t, ann, "")
		if gap.Number != e.Number+2 || gap.Users != 2 {
			t.Errorf("after %+v comes %+v", e, gap)
		}
		if l := askPresence(t, ann); l.people() != "cid0 dan1" || l.At[gap.Node] != gap.Number {
			t.Errorf("the list is %+v", l)
		}
		expectEvent(t, ann, "-cid")
	})
}

// Handlers of the program go on working beside presence.
func TestHandlersBesidePresence(t *testing.T) {
	b := brokertest.New(t, broker.Options{Presence: rooms, Authorizer: guarded(t, allow("/app/presence/**", auth.Subscribe))})
	for _, path := range []string{"/presence/mine", "/**"} {
		handle(t, b, path, func(ctx context.Context, r *broker.Request) error {
			_, err := r.Reply(ctx, &broker.Message{Body: []byte(path), Destination: map[bool]string{false: "/queue/a"}[r.Subscribe]})
			return err
		})
	}
	c := brokertest.Connect(t, b, "login", "ann")
	c.Subscribe(t, "q", "/user/queue/a")
	for destination, body := range map[string]string{"/app/x": "/**", "/app/presence/mine": "/presence/mine", "/app/presence/topic/a": "/**", "/app/presence": "/**"} {
		c.Send("SUBSCRIBE", "", "id", "1", "destination", destination)
		expectMessage(t, c, body)
		c.Send("SEND", "", "destination", destination)
		expectMessage(t, c, body)
	}
	c.Send("SEND", "", "destination", "/app/presence"+room) // a SEND is the program's
	expectMessage(t, c, "/**")
	if l := askPresence(t, c); l.Total != 0 {
		t.Errorf("%+v", l)
	}
}

// The destinations of presence follow Options.Destinations.
func TestPresenceBehindOtherPrefixes(t *testing.T) {
	for _, c := range []struct {
		topic  []string
		room   string
		events string
		ok     bool
	}{
		{[]string{"/t", "/u"}, "/u/room/7", "/t/presence/u/room/7", true},
		{[]string{"/", "/t"}, "/room/7", "/t/presence/room/7", true},
		{[]string{"/"}, "/room/7", "/presence/room/7", true},
	} {
		p := topics.Prefixes{Topic: c.topic, App: []string{"/do", "/ws"}}
		r, err := auth.Prefixes(p).Open().Prepend(allow("/none", auth.Send))
		if err != nil {
			t.Fatal(err)
		}
		b := brokertest.New(t, broker.Options{Destinations: p, Presence: []string{strings.Replace(c.room, "7", "*", 1)}, Authorizer: r})
		ann := brokertest.Connect(t, b, "login", "ann")
		ann.Subscribe(t, "w", c.events)
		ann.Subscribe(t, "r", c.room)
		if f := ann.Expect(t, "MESSAGE"); f.Get("destination") != c.events || !strings.Contains(string(f.Body), `"joined":[{"user":"ann"`) {
			t.Errorf("%v: %v", c.topic, f)
		}
		for _, app := range p.App {
			ann.Send("SUBSCRIBE", "", "id", "1", "destination", app+"/presence"+c.room)
			if f := ann.Expect(t, "MESSAGE"); !strings.Contains(string(f.Body), `"user":"ann"`) {
				t.Errorf("%v, %s: %s", c.topic, app, f.Body)
			}
		}
	}
}

func TestPresenceOptions(t *testing.T) {
	for text, problem := range map[string]string{
		"/queue/a":                            "is not a topic: only destinations below /topic can have presence",
		"/topic/a/":                           "has an empty segment",
		"/topic/{a}":                          "has a variable",
		"/topic/presence/topic/a":             "is for the events of presence",
		"/topic/presence/**":                  "is for the events of presence",
		"topic":                               "must begin with",
		"/topic/" + strings.Repeat("x", 2000): "",
	} {
		_, err := broker.New(broker.Options{Presence: []string{"/topic/ok", text}})
		var bad *broker.OptionError
		if !errors.As(err, &bad) || bad.Field != "Presence" || !strings.Contains(bad.Problem, problem) {
			t.Errorf("%.40s: %v", text, err)
		}
	}
	_, err := broker.New(broker.Options{Presence: rooms, Destinations: topics.Prefixes{Topic: []string{"/"}, Queue: []string{"/presence"}}})
	if err == nil {
		t.Error("the events of presence would be queues")
	}
}

// The memory for rooms counts like that for subscriptions.
func TestPresenceCountsInSubscriptions(t *testing.T) {
	b := brokertest.New(t, broker.Options{Presence: rooms, Authorizer: presenceRules(t), Limits: broker.Limits{SubscriptionBytes: 3000}})
	for _, prefix := range []string{"/topic/room/", "/topic/presence/topic/room/"} {
		c := brokertest.Connect(t, b, "login", "ann")
		for range 20 { // what ends is given back
			c.Subscribe(t, "0", prefix+"0")
			c.Send("UNSUBSCRIBE", "", "id", "0")
		}
		for i := range 5 {
			c.Send("SUBSCRIBE", "", "id", fmt.Sprint(i), "destination", fmt.Sprint(prefix, i))
		}
		wantError(t, c, 4429, "more than 3000 bytes in subscriptions (limits.subscription_bytes)")
	}
}
