package broker_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// diary is what an observer saw.
type diary struct {
	mu   sync.Mutex
	list []string
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, fmt.Sprintf(format, args...))
}

// want waits until as much is observed as is wanted: observers hear of a
// subscription, and of its end, after the RECEIPT has left.
func (d *diary) want(t *testing.T, want ...string) {
	t.Helper()
	var list []string
	brokertest.Eventually(t, fmt.Sprintf("%d events are observed", len(want)), func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		list = slices.Clone(d.list)
		return len(list) >= len(want)
	})
	if !slices.Equal(list, want) {
		t.Errorf("observed\n%q, want\n%q", list, want)
	}
}

// observer writes a diary.
func (d *diary) observer() broker.Observer {
	return broker.Observer{
		Connected:    func(s broker.SessionInfo) { d.note("connected %s", s.User) },
		Disconnected: func(s broker.SessionInfo, e *broker.Error) { d.note("disconnected %s %v", s.User, e.Reason) },
		Subscribed: func(s broker.SessionInfo, destination, id string) {
			d.note("subscribed %s %s %s", s.User, destination, id)
		},
		Unsubscribed: func(s broker.SessionInfo, destination, id string, why broker.SubscriptionEnd) {
			d.note("unsubscribed %s %s %s %v", s.User, destination, id, why)
		},
	}
}

func TestObserver(t *testing.T) {
	b := newBroker(t, broker.Options{})
	handle(t, b, "/a", reply("a"))
	var d diary
	cancel := b.Observe(d.observer())
	c := brokertest.Connect(t, b, "login", "alice")
	c.Subscribe(t, "1", "/topic/*")
	c.Subscribe(t, "2", "/user/queue/x")
	c.Subscribe(t, "3", "/queue/x")
	c.Subscribe(t, "4", "/app/a") // answered, not subscribed
	c.Send("UNSUBSCRIBE", "", "id", "unknown")
	c.Send("UNSUBSCRIBE", "", "id", "1")
	c.Sync(t)
	c.Send("UNSUBSCRIBE", "", "id", "1") // again
	c.Send("DISCONNECT", "")
	c.Ended(t)
	refused := brokertest.Dial(b)
	t.Cleanup(refused.Close)
	refused.Send("SEND", "") // never connected, never told
	refused.Ended(t)
	lost := brokertest.Connect(t, b, "login", "bob")
	lost.Close()
	want := []string{
		"connected alice", "subscribed alice /topic/* 1", "subscribed alice /user/queue/x 2", "subscribed alice /queue/x 3",
		"unsubscribed alice /topic/* 1 unsubscribe", "unsubscribed alice /user/queue/x 2 session-ended",
		"unsubscribed alice /queue/x 3 session-ended", "disconnected alice disconnect",
		"connected bob", "disconnected bob connection-lost",
	}
	d.want(t, want...)
	cancel()
	cancel()
	brokertest.Connect(t, b, "login", "carol").Sync(t)
	d.want(t, want...)
}

func TestObserverReasons(t *testing.T) {
	for reason, end := range map[broker.Reason]func(t *testing.T, b *broker.Broker, c *brokertest.Client){
		broker.ReasonDisconnect:     func(_ *testing.T, _ *broker.Broker, c *brokertest.Client) { c.Send("DISCONNECT", "") },
		broker.ReasonConnectionLost: func(_ *testing.T, _ *broker.Broker, c *brokertest.Client) { c.Close() },
		broker.ReasonProtocolError:  func(_ *testing.T, _ *broker.Broker, c *brokertest.Client) { c.Send("SEND", "") },
		broker.ReasonDenied: func(_ *testing.T, _ *broker.Broker, c *brokertest.Client) {
			c.Send("SEND", "", "destination", "/app/unknown")
		},
		broker.ReasonKicked: func(t *testing.T, b *broker.Broker, c *brokertest.Client) {
			if err := b.Disconnect(c.Session, "bye"); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(reason.String(), func(t *testing.T) {
			b := newBroker(t, broker.Options{})
			c := brokertest.Connect(t, b, "login", "alice")
			ended := make(chan *broker.Error, 2)
			b.Observe(broker.Observer{Disconnected: func(s broker.SessionInfo, e *broker.Error) {
				// It has left everything by now.
				if st := b.Stats(); s.ID != c.Session || st.Users != 0 || st.Sessions != 0 {
					t.Errorf("%s: %+v", s.ID, st)
				}
				ended <- e
			}})
			end(t, b, c)
			if e := testkit.Receive(t, ended); e.Reason != reason || e.Message == "" {
				t.Errorf("ended with %v", e)
			}
			c.Ended(t)
			if len(ended) != 0 {
				t.Error("told twice")
			}
			if n := b.Stats().Ended[reason.String()]; n != 1 {
				t.Errorf("counted %d times", n)
			}
		})
	}
}

func TestSeveralObserversAndOneThatPanics(t *testing.T) {
	b := newBroker(t, broker.Options{})
	var first, last diary
	b.Observe(first.observer())
	b.Observe(broker.Observer{
		Connected:    func(broker.SessionInfo) { panic("connected") },
		Disconnected: func(broker.SessionInfo, *broker.Error) { panic("disconnected") },
		Subscribed:   func(broker.SessionInfo, string, string) { panic("subscribed") },
		Unsubscribed: func(broker.SessionInfo, string, string, broker.SubscriptionEnd) { panic("unsubscribed") },
	})
	b.Observe(broker.Observer{}) // wants to know nothing
	b.Observe(last.observer())
	c := brokertest.Connect(t, b, "login", "alice")
	c.Subscribe(t, "1", "/topic/a")
	publish(t, b, "/topic/a", "x")
	wantMessages(t, c, "x")
	c.Send("UNSUBSCRIBE", "", "id", "1")
	c.Sync(t)
	c.Send("DISCONNECT", "", "receipt", "r")
	c.ExpectReceipt(t, "r")
	wantEnd(t, c, 1000)
	want := []string{"connected alice", "subscribed alice /topic/a 1", "unsubscribed alice /topic/a 1 unsubscribe", "disconnected alice disconnect"}
	first.want(t, want...)
	last.want(t, want...)
}

func TestObserverMayUseTheBroker(t *testing.T) {
	b := newBroker(t, broker.Options{})
	b.Observe(broker.Observer{
		Connected: func(s broker.SessionInfo) {
			if users := b.Stats().Users; users != 1 {
				t.Errorf("%d users while alice is announced", users)
			}
		},
		// The subscription is active: a greeting arrives, behind the receipt.
		Subscribed: func(s broker.SessionInfo, destination, _ string) {
			notifySession(t, b, s.ID, "/queue/x", "welcome "+s.User, 1)
			for range b.Sessions() {
			}
		},
	})
	c := brokertest.Connect(t, b, "login", "alice")
	c.Subscribe(t, "s", "/user/queue/x")
	wantMessages(t, c, "welcome alice")
}
