package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/topics"
)

// notify publishes to a user and checks how many subscriptions it reached.
func notify(t *testing.T, b *broker.Broker, user, destination, body string, want int) {
	t.Helper()
	d, err := b.PublishToUser(t.Context(), user, &broker.Message{Destination: destination, Body: []byte(body)})
	if err != nil || d.Subscriptions != want {
		t.Errorf("PublishToUser(%q, %s) = %+v, %v; want %d subscriptions", user, destination, d, err, want)
	}
}

// notifySession is notify for one session.
func notifySession(t *testing.T, b *broker.Broker, session, destination, body string, want int) {
	t.Helper()
	d, err := b.PublishToSession(t.Context(), session, &broker.Message{Destination: destination, Body: []byte(body)})
	if err != nil || d.Subscriptions != want {
		t.Errorf("PublishToSession(%s) = %+v, %v; want %d subscriptions", destination, d, err, want)
	}
}

func TestUserDestinationIsPrivateToTheSession(t *testing.T) { // W-4, W-5
	for _, destination := range []string{"/queue/x", "/topic/x"} {
		t.Run(destination, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{})
			one, two := brokertest.Connect(t, b, "login", "alice"), brokertest.Connect(t, b, "login", "alice")
			bob, nobody := brokertest.Connect(t, b, "login", "bob"), brokertest.Connect(t, b)
			for _, c := range []*brokertest.Client{one, two, bob, nobody} {
				c.Subscribe(t, "s", "/user"+destination)
				c.Subscribe(t, "shared", destination)
			}
			notifySession(t, b, one.Session, destination, "to one", 1)
			notifySession(t, b, nobody.Session, destination, "to nobody's", 1)
			wantHeaders(t, wantMessages(t, one, "to one")[0], "destination", "/user"+destination, "subscription", "s")
			wantMessages(t, two)
			wantMessages(t, bob)
			wantMessages(t, nobody, "to nobody's")

			notify(t, b, "alice", destination, "to alice", 2)
			notify(t, b, "alice", "/user"+destination, "again", 2) // as a client writes it
			for _, c := range []*brokertest.Client{one, two} {
				wantHeaders(t, wantMessages(t, c, "to alice", "again")[0], "destination", "/user"+destination)
			}
			wantMessages(t, bob)
			wantMessages(t, nobody)
		})
	}
}

func TestUserDestinationsAreNotMixedUp(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	c := brokertest.Connect(t, b, "login", "alice")
	c.Subscribe(t, "s", "/user/queue/x")
	notify(t, b, "alice", "/topic/x", "another kind", 0)
	notify(t, b, "alice", "/queue/x/y", "another path", 0)
	notify(t, b, "Alice", "/queue/x", "another user", 0)
	notify(t, b, "", "/queue/x", "nobody", 0)
	notify(t, b, c.Session, "/queue/x", "the session's id is no user's name", 0)
	wantMessages(t, c)
	c.Send("UNSUBSCRIBE", "", "id", "s")
	c.Sync(t)
	notify(t, b, "alice", "/queue/x", "late", 0)
	wantMessages(t, c)
}

func TestUserDestinationWithOwnName(t *testing.T) {
	for _, name := range []string{"alice", "a/b", "a%2Fb", "100%", "a%b/c", "ä:b", "user", "*", "a?c", "**"} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{})
			c := brokertest.Connect(t, b, "login", name)
			destination := topics.UserDestination(name, "/queue/x")
			c.Subscribe(t, "named", destination)
			c.Subscribe(t, "own", "/user/queue/x")
			notify(t, b, name, "/queue/x", "x", 2)
			publish(t, b, destination, "y")
			got := map[string]string{}
			for _, m := range wantMessages(t, c, "x", "x", "y", "y") {
				got[m.Get("subscription")] = m.Get("destination")
			}
			// Each in the words the client subscribed with.
			if got["named"] != destination || got["own"] != "/user/queue/x" {
				t.Errorf("destinations are %v", got)
			}
		})
	}
}

func TestEscapedNamesDoNotMeet(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	names := []string{"a/b", "a%2Fb", "a%252Fb", "a"}
	clients := map[string]*brokertest.Client{}
	for _, name := range names {
		clients[name] = brokertest.Connect(t, b, "login", name)
		clients[name].Subscribe(t, "s", "/user/queue/x")
	}
	for _, name := range names {
		publish(t, b, topics.UserDestination(name, "/queue/x"), "for "+name)
	}
	for _, name := range names {
		wantMessages(t, clients[name], "for "+name)
	}
}

// W-4: no name and no pattern reaches what belongs to somebody else.
func TestNobodyElseReachesUserDestinations(t *testing.T) {
	guesses := func(session string) []string {
		return []string{
			"/user/alice/topic/x", "/user/*/topic/x", "/user/**/topic/x", "/user/**", "/user/*", "/user/topic/*", "/user/topic/**",
			"/user/" + session + "/topic/x", "/user/alice%2Ftopic/topic/x",
			"/topic/x-user" + session, "/topic/x/user/" + session, "/topic/x-user*", "/topic/**", "/topic/x",
			"/queue/x-user" + session, "/queue/x", "/queue/**", "/**", "/*/x", "/user", "//user/topic/x", "/USER/alice/topic/x",
			"/user//alice/topic/x", "/user/alice//topic/x", "/user/alice/topic/*", "/user/ALICE/topic/x", "/user/../user/alice/topic/x",
			"/user/alice/app/x", "/app/user/alice/topic/x", "/user/%61lice/topic/x",
		}
	}
	for _, mode := range []broker.QueueMode{broker.QueueWork, broker.QueueBroadcast} {
		// Everything allowed that rules can allow: privacy is not a matter of rules.
		b := brokertest.New(t, broker.Options{Queues: broker.Queues{Mode: mode}, Authorizer: rules(t, allow("/**", auth.Subscribe, auth.Send))})
		alice := brokertest.Connect(t, b, "login", "alice")
		alice.Subscribe(t, "s", "/user/topic/x")
		for i, guess := range guesses(alice.Session) {
			eve := brokertest.Connect(t, b, "login", fmt.Sprint("eve", i)) // one user would be slowed down
			eve.Send("SUBSCRIBE", "", "id", "s", "destination", guess, "receipt", "r")
			f, err := eve.Receive()
			if err != nil {
				t.Fatal(err)
			}
			notify(t, b, "alice", "/topic/x", "secret", 1)
			notifySession(t, b, alice.Session, "/topic/x", "secret", 1)
			wantMessages(t, alice, "secret", "secret")
			switch {
			case f.Command == "RECEIPT":
				wantMessages(t, eve)
			case strings.HasPrefix(guess, "/user/alice/topic/x"):
				wantHeaders(t, f, "receipt-id", "r", "message", "not allowed to subscribe to the destinations of another user")
			}
			eve.Close()
		}
	}
}

// The same guesses from the other side: a SEND never forges a private message.
func TestNobodyElseSendsToUserDestinations(t *testing.T) {
	b := brokertest.New(t, broker.Options{}) // the open rules
	alice := brokertest.Connect(t, b, "login", "alice")
	alice.Subscribe(t, "s", "/user/topic/x")
	for _, guess := range []string{
		"/user/alice/topic/x", "/user/" + alice.Session + "/topic/x", "/topic/x-user" + alice.Session, "/topic/x",
		"/user/*/topic/x", "/user/topic/x", "/queue/x-user" + alice.Session,
	} {
		eve := brokertest.Connect(t, b, "login", "eve")
		eve.Send("SEND", "forged", "destination", guess, "receipt", "r")
		if _, err := eve.Receive(); err != nil {
			t.Fatal(err)
		}
		wantMessages(t, alice)
	}
	alice.Send("SEND", "mine", "destination", "/user/alice/topic/x")
	wantError(t, alice, 4403, "not allowed") // not even to oneself, without a rule
}

func TestSendToUserByRule(t *testing.T) {
	b := brokertest.New(t, broker.Options{Authorizer: rules(t,
		auth.Rule{Effect: auth.Allow, Actions: []auth.Action{auth.Send}, Destination: "/user/*/queue/**", AnyUser: true},
		allow("/user/queue/**", auth.Subscribe),
		allow("/user/topic/**", auth.Subscribe),
	)})
	sender := brokertest.Connect(t, b, "login", "alice")
	one, two := brokertest.Connect(t, b, "login", "b/ob"), brokertest.Connect(t, b, "login", "b/ob")
	other := brokertest.Connect(t, b, "login", "bob")
	for _, c := range []*brokertest.Client{sender, one, two, other} {
		c.Subscribe(t, "s", "/user/queue/x")
		c.Subscribe(t, "t", "/user/topic/x")
	}
	send(t, sender, "/user/b%2Fob/queue/x", "hello", "k", "v")
	send(t, sender, "/user/unknown/queue/x", "to nobody") // not told who exists
	for _, c := range []*brokertest.Client{one, two} {
		wantHeaders(t, wantMessages(t, c, "hello")[0], "destination", "/user/queue/x", "subscription", "s", "k", "v")
	}
	wantMessages(t, other)
	sender.Send("SEND", "to all my tabs", "destination", "/user/alice/queue/x")
	wantMessages(t, sender, "to all my tabs")
	sender.Send("SEND", "x", "destination", "/user/bob/topic/x", "receipt", "r")
	wantHeaders(t, wantError(t, sender, 4403, "not allowed"), "receipt-id", "r")
}

func TestAnonymousHasPrivateDestinations(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "s", "/user/queue/x")
	notifySession(t, b, c.Session, "/queue/x", "x", 1)
	wantMessages(t, c, "x")
	c.Send("SUBSCRIBE", "", "id", "2", "destination", "/user/anonymous/queue/x")
	wantError(t, c, 4403, "another user")
}

func TestSessionsLeaveTheirUser(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	one, two := brokertest.Connect(t, b, "login", "alice"), brokertest.Connect(t, b, "login", "alice")
	one.Subscribe(t, "s", "/user/queue/x")
	two.Subscribe(t, "s", "/user/queue/x")
	one.Close()
	notify(t, b, "alice", "/queue/x", "x", 1)
	wantMessages(t, two, "x")
	two.Close()
	notify(t, b, "alice", "/queue/x", "x", 0)
	if _, err := b.PublishToSession(t.Context(), two.Session, &broker.Message{Destination: "/queue/x"}); err != broker.ErrNoSession {
		t.Errorf("PublishToSession to a session that has ended: %v", err)
	}
}

func TestPublishToUserWithAnythingElse(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	c := brokertest.Connect(t, b, "login", "alice")
	for _, destination := range []string{"", "queue/x", "/app/x", "/user/alice/queue/x", "/queue/*", "/user/queue/"} {
		if _, err := b.PublishToUser(t.Context(), "alice", &broker.Message{Destination: destination}); err == nil {
			t.Errorf("PublishToUser to %q: no error", destination)
		}
		if _, err := b.PublishToSession(t.Context(), c.Session, &broker.Message{Destination: destination}); err == nil {
			t.Errorf("PublishToSession to %q: no error", destination)
		}
	}
}
