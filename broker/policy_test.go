package broker_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

func setPolicy(t *testing.T, b *broker.Broker, p broker.Policy) {
	t.Helper()
	if err := b.SetPolicy(p); err != nil {
		t.Fatal(err)
	}
}

// Rules that change end the subscriptions that they deny and no session; what
// they still allow goes on without a gap.
func TestPolicyRulesHoldForConnectedSessions(t *testing.T) {
	before := rules(t, allow("/topic/**", auth.Subscribe, auth.Send), allow("/user/**", auth.Subscribe))
	after := rules(t, allow("/topic/a", auth.Subscribe, auth.Send), allow("/user/**", auth.Subscribe))
	for _, kind := range []string{"websocket", "tcp"} {
		t.Run(kind, func(t *testing.T) {
			srv := startBroker(t, broker.Options{Authorizer: before})
			c := rawDial(t, srv, kind == "websocket").connect(t, "heart-beat", "0,0")
			for id, destination := range map[string]string{"a": "/topic/a", "b": "/topic/b", "n": "/user/topic/session"} {
				c.subscribe(t, id, destination)
			}
			c.send(t, "SEND", "1", "destination", "/topic/a") // so that its destination is remembered
			c.want(t, "MESSAGE")
			c.send(t, "SEND", "2", "destination", "/topic/b")
			c.want(t, "MESSAGE")
			setPolicy(t, srv.Broker, broker.Policy{Authorizer: after})
			if e := c.want(t, "MESSAGE"); e.f.Get("destination") != "/user/topic/session" || !strings.Contains(string(e.f.Body), `"subscription-ended"`) || !strings.Contains(string(e.f.Body), "/topic/b") {
				t.Fatalf("the client is told %v", e)
			}
			publish(t, srv.Broker, "/topic/b", "not for it any more")
			publish(t, srv.Broker, "/topic/a", "3")
			if e := c.want(t, "MESSAGE"); string(e.f.Body) != "3" {
				t.Fatalf("received %v", e)
			}
			c.send(t, "SEND", "4", "destination", "/topic/b", "receipt", "r") // the last destination, allowed before
			if e := c.want(t, "ERROR"); !strings.Contains(e.f.Get("message"), "not allowed") {
				t.Errorf("the SEND is answered with %v", e)
			}
		})
	}
}

func TestPolicyLimitsHoldForConnectedSessions(t *testing.T) {
	srv := startBroker(t, broker.Options{})
	idle := rawWebSocket(t, srv).connect(t, "heart-beat", "0,0")
	busy := srv.Connect(t)
	busy.Subscribe(t, "1", "/topic/a")
	busy.Subscribe(t, "2", "/topic/b")
	setPolicy(t, srv.Broker, broker.Policy{Limits: broker.Limits{Subscriptions: 2, Frame: 2048}})
	busy.Sync(t) // has more than it may take further, and stays
	busy.Send("SUBSCRIBE", "", "id", "3", "destination", "/topic/c")
	wantError(t, busy, 4429, "more than 2 subscriptions")
	idle.send(t, "SEND", strings.Repeat("x", 3000), "destination", "/topic/a")
	idle.wantGoodbye(t, 1009, "frame larger than 2048 bytes (limits.frame)")
}

func TestPolicyOriginsHoldForNewConnections(t *testing.T) {
	srv := startBroker(t, broker.Options{Origins: []string{"https://old.example.com"}})
	page := func(origin string) int {
		res, _ := handshake(t, srv, "/ws", "Origin", origin)
		return res.StatusCode
	}
	old := rawWebSocket(t, srv, "Origin", "https://old.example.com").connect(t, "heart-beat", "0,0")
	setPolicy(t, srv.Broker, broker.Policy{Origins: []string{"https://new.example.com"}})
	if got := page("https://old.example.com"); got != http.StatusForbidden {
		t.Errorf("the old origin: %d", got)
	}
	if got := page("https://new.example.com"); got != http.StatusSwitchingProtocols {
		t.Errorf("the new origin: %d", got)
	}
	old.subscribe(t, "1", "/topic/a") // it is still there
}

// A policy that is wrong changes nothing.
func TestPolicyIsChecked(t *testing.T) {
	b := newBroker(t, broker.Options{})
	for want, p := range map[string]broker.Policy{
		"Options.Origins":       {Origins: []string{"not an origin"}},
		"Options.Limits.Outbox": {Limits: broker.Limits{Outbox: 1, Frame: 1 << 20}},
	} {
		if err := b.SetPolicy(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", p, err, want)
		}
	}
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "1", "/topic/a")
}

// A pattern of which the new rules allow only a part goes on with that part, as it
// would if it was subscribed to now.
func TestPolicyRulesNarrowAPattern(t *testing.T) {
	before := rules(t, allow("/topic/**", auth.Subscribe, auth.Send), allow("/queue/**", auth.Subscribe), allow("/user/**", auth.Subscribe))
	after := rules(t, deny("/topic/secret", auth.Subscribe), allow("/topic/**", auth.Subscribe, auth.Send), allow("/user/**", auth.Subscribe))
	srv := startBroker(t, broker.Options{Authorizer: before})
	c := rawWebSocket(t, srv).connect(t, "heart-beat", "0,0")
	c.subscribe(t, "n", "/user/topic/session")
	c.subscribe(t, "p", "/topic/**")
	c.subscribe(t, "q", "/queue/a") // the last one: its end says that all were judged
	for _, destination := range []string{"/topic/a", "/topic/secret"} {
		publish(t, srv.Broker, destination, "before")
		if e := c.want(t, "MESSAGE"); string(e.f.Body) != "before" || e.f.Get("destination") != destination {
			t.Fatalf("received %v", e)
		}
	}
	setPolicy(t, srv.Broker, broker.Policy{Authorizer: after})
	if e := c.want(t, "MESSAGE"); !strings.Contains(string(e.f.Body), `"subscription-ended"`) || !strings.Contains(string(e.f.Body), "/queue/a") {
		t.Fatalf("the client is told %v", e)
	}
	for _, destination := range []string{"/topic/secret", "/topic/a", "/topic/secret", "/topic/a/b"} {
		publish(t, srv.Broker, destination, destination)
	}
	for _, want := range []string{"/topic/a", "/topic/a/b"} {
		if e := c.want(t, "MESSAGE"); string(e.f.Body) != want || e.f.Get("subscription") != "p" {
			t.Fatalf("received %v, want %s", e, want)
		}
	}
	c.send(t, "UNSUBSCRIBE", "", "id", "p", "receipt", "r")
	c.want(t, "RECEIPT")
}

// What the old rules allowed is not remembered for a pattern that is subscribed to
// after they have changed, also if there was none meanwhile.
func TestPolicyRulesForgetAnswers(t *testing.T) {
	before := rules(t, deny("/topic/other", auth.Subscribe), allow("/topic/**", auth.Subscribe), allow("/queue/**", auth.Subscribe), allow("/user/**", auth.Subscribe))
	after := rules(t, deny("/topic/secret", auth.Subscribe), allow("/topic/**", auth.Subscribe), allow("/user/**", auth.Subscribe))
	srv := startBroker(t, broker.Options{Authorizer: before})
	c := rawWebSocket(t, srv).connect(t, "heart-beat", "0,0")
	c.subscribe(t, "n", "/user/topic/session")
	c.subscribe(t, "q", "/queue/a")
	c.subscribe(t, "p", "/topic/**")
	publish(t, srv.Broker, "/topic/secret", "1")
	c.want(t, "MESSAGE")
	c.send(t, "UNSUBSCRIBE", "", "id", "p", "receipt", "r")
	c.want(t, "RECEIPT")
	setPolicy(t, srv.Broker, broker.Policy{Authorizer: after})
	c.want(t, "MESSAGE") // that /queue/a has ended
	c.subscribe(t, "p", "/topic/**")
	publish(t, srv.Broker, "/topic/secret", "2")
	publish(t, srv.Broker, "/topic/a", "3")
	if e := c.want(t, "MESSAGE"); string(e.f.Body) != "3" {
		t.Errorf("received %v", e)
	}
}
