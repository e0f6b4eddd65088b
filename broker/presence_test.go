package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
