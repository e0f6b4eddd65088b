package broker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// byRole lets the role that the bearer token names subscribe to what rules say.
func byRole(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
	if a.Stage == auth.StageHandshake {
		return nil, auth.ErrNotMine
	}
	return &auth.Principal{Name: "alice", Roles: []string{a.Bearer}}, nil
}

// A subscription that the rules deny ends, and observers hear of it as of any
// other end.
func TestObserverHearsThatRulesEndSubscriptions(t *testing.T) {
	ofStaff := func(destination string) auth.Rule {
		return auth.Rule{Effect: auth.Allow, Actions: []auth.Action{auth.Subscribe}, Destination: destination, Roles: []string{"staff"}}
	}
	before := rules(t, ofStaff("/topic/staff/**"), ofStaff("/queue/staff/**"), allow("/topic/all", auth.Subscribe))
	after := rules(t, allow("/topic/all", auth.Subscribe))
	for name, deny := range map[string]func(t *testing.T, b *broker.Broker, c *brokertest.Client){
		"new rules": func(t *testing.T, b *broker.Broker, c *brokertest.Client) {
			setPolicy(t, b, broker.Policy{Authorizer: after})
			c.Sync(t) // over a Transport, new rules hold when the client next sends something
		},
		"a renewal": func(t *testing.T, _ *broker.Broker, c *brokertest.Client) {
			c.Send("SEND", "", "destination", "/app/session/refresh", "Authorization", "Bearer guest", "receipt", "renewed")
			c.ExpectReceipt(t, "renewed")
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := startBroker(t, broker.Options{Authenticator: auth.AuthenticatorFunc(byRole), Authorizer: before})
			b := srv.Broker
			c := srv.Connect(t, "Authorization", "Bearer staff")
			c.Subscribe(t, "1", "/topic/staff/a")
			c.Subscribe(t, "2", "/queue/staff/b")
			c.Subscribe(t, "3", "/topic/all")
			var d diary
			denied := make(chan string, 3)
			b.Observe(d.observer())
			b.Observe(broker.Observer{Unsubscribed: func(_ broker.SessionInfo, _, id string, _ broker.SubscriptionEnd) { denied <- id }})
			deny(t, b, c)
			for _, want := range []string{"1", "2"} {
				if id := testkit.Receive(t, denied); id != want {
					t.Errorf("subscription %s has ended, want %s", id, want)
				}
			}
			c.Send("DISCONNECT", "")
			c.Ended(t)
			testkit.Receive(t, denied)
			d.want(t, "unsubscribed alice /topic/staff/a 1 denied", "unsubscribed alice /queue/staff/b 2 denied",
				"unsubscribed alice /topic/all 3 session-ended", "disconnected alice disconnect")
		})
	}
}

// Observers hear once where a session comes from, and once what it did.
func TestObserverHearsOriginAndTraffic(t *testing.T) {
	srv := startBroker(t, broker.Options{Origins: []string{"https://app.example.com"}})
	first, last := make(chan broker.SessionInfo, 1), make(chan broker.SessionInfo, 1)
	srv.Broker.Observe(broker.Observer{
		Connected:    func(s broker.SessionInfo) { first <- s },
		Subscribed:   func(s broker.SessionInfo, _, _ string) { wantPlain(t, s) },
		Disconnected: func(s broker.SessionInfo, _ *broker.Error) { last <- s },
	})
	c := rawWebSocket(t, srv, "Origin", "https://app.example.com", "User-Agent", strings.Repeat("é", 200)).connect(t)
	s := testkit.Receive(t, first)
	if s.Origin != "https://app.example.com" || s.UserAgent != strings.Repeat("é", 100)+"…" || s.Received+s.Sent != 0 {
		t.Errorf("connected: %+v", s)
	}
	c.subscribe(t, "1", "/topic/a") // asks for a receipt
	for s := range srv.Broker.Sessions() {
		wantPlain(t, s)
	}
	c.send(t, "DISCONNECT", "", "receipt", "r")
	c.want(t, "RECEIPT")
	s = testkit.Receive(t, last)
	if s.Received != 3 || s.Sent != 4 || s.Origin+s.UserAgent != "" { // CONNECTED, two RECEIPTs and the close frame
		t.Errorf("disconnected: %+v, want 3 frames received and 4 sent", s)
	}
}

// wantPlain checks that nothing is there that only the first and the last event
// have.
func wantPlain(t *testing.T, s broker.SessionInfo) {
	t.Helper()
	if s.Origin+s.UserAgent != "" || s.Received+s.Sent != 0 {
		t.Errorf("%+v", s)
	}
}

// lives follows sessions through their events.
type lives struct {
	mu     sync.Mutex
	open   map[string]map[string]bool // subscriptions by session
	faults []string
	events [4]int
	over   map[string]bool
}

func (l *lives) event(kind int, session string, f func(subs map[string]bool) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events[kind]++
	subs, open := l.open[session]
	if open == (kind == 0) || l.over[session] {
		l.faults = append(l.faults, fmt.Sprintf("%s: event %d while open is %v", session, kind, open))
		return
	}
	if err := f(subs); err != nil {
		l.faults = append(l.faults, fmt.Sprintf("%s: event %d: %v", session, kind, err))
	}
}

var errSubscription = errors.New("the subscription is not as before")

func (l *lives) observer() broker.Observer {
	change := func(id string, before bool) func(map[string]bool) error {
		return func(subs map[string]bool) error {
			if subs[id] != before {
				return errSubscription
			}
			subs[id] = !before
			return nil
		}
	}
	return broker.Observer{
		Connected: func(s broker.SessionInfo) {
			l.event(0, s.ID, func(map[string]bool) error { l.open[s.ID] = make(map[string]bool); return nil })
		},
		Subscribed: func(s broker.SessionInfo, _, id string) { l.event(1, s.ID, change(id, false)) },
		Unsubscribed: func(s broker.SessionInfo, _, id string, _ broker.SubscriptionEnd) {
			l.event(2, s.ID, change(id, true))
		},
		Disconnected: func(s broker.SessionInfo, _ *broker.Error) {
			l.event(3, s.ID, func(subs map[string]bool) error {
				delete(l.open, s.ID)
				l.over[s.ID] = true
				for id := range subs {
					if subs[id] {
						return fmt.Errorf("subscription %s has no end", id)
					}
				}
				return nil
			})
		},
	}
}

// Whatever clients, rules and operators do, the events of each session are in
// order and complete.
func TestObserverHearsWholeLives(t *testing.T) {
	srv := startBroker(t, broker.Options{Authorizer: rules(t, allow("/**", auth.Subscribe, auth.Send))})
	l := &lives{open: make(map[string]map[string]bool), over: make(map[string]bool)}
	srv.Broker.Observe(l.observer())
	destinations := []string{"/topic/a", "/topic/*", "/queue/b", "/user/queue/c"}
	var all sync.WaitGroup
	const clients, rounds = 8, 6
	for i := range clients {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for range rounds {
				c := srv.Connect(t, "login", fmt.Sprint("user", i))
				for range random.IntN(12) {
					id := fmt.Sprint(random.IntN(5))
					if random.IntN(2) == 0 {
						c.Send("UNSUBSCRIBE", "", "id", id)
					} else {
						c.Send("SUBSCRIBE", "", "id", id, "destination", destinations[random.IntN(len(destinations))])
					}
				}
				switch random.IntN(4) {
				case 0:
					c.Close()
				case 1:
					c.Send("DISCONNECT", "")
				case 2:
					_ = srv.Broker.Disconnect(c.Session, "bye") // it may have ended, because an id was in use
				default:
					if err := srv.Broker.SetPolicy(broker.Policy{Authorizer: rules(t, allow("/*/*", auth.Subscribe), allow("/user/**", auth.Subscribe))}); err != nil {
						t.Error(err)
					}
					c.Close()
				}
			}
		})
	}
	testkit.Wait(t, &all)
	srv.Broker.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) > 0 || len(l.open) > 0 {
		t.Errorf("%q, %d sessions have no end", l.faults, len(l.open))
	}
	if n := l.events; n[0] != clients*rounds || n[3] != n[0] || n[1] == 0 || n[1] != n[2] || slices.Min(n[:]) == 0 {
		t.Errorf("there were %v events", n)
	}
}
