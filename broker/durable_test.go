package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/selector"
)

// withDurable returns options with durable subscriptions below /topic/orders.
func withDurable(d broker.Durable) broker.Options {
	d.Destination = "/topic/orders/**"
	return broker.Options{Durable: []broker.Durable{d}, Selector: selector.Compile}
}

// attach connects as a user and subscribes durably as "inbox".
func attach(t testing.TB, b *broker.Broker, user string, headers ...string) *brokertest.Client {
	t.Helper()
	c := brokertest.Connect(t, b, "login", user)
	c.Subscribe(t, "s", "/topic/orders/eu", append([]string{"durable", "inbox"}, headers...)...)
	return c
}

// theDurable returns the only durable subscription.
func theDurable(t testing.TB, b *broker.Broker) broker.DurableSubscription {
	t.Helper()
	list := slices.Collect(b.DurableSubscriptions())
	if len(list) != 1 {
		t.Fatalf("there are %d durable subscriptions, want 1: %+v", len(list), list)
	}
	return list[0]
}

func wantDurables(t testing.TB, b *broker.Broker, names ...string) {
	t.Helper()
	var have []string
	for d := range b.DurableSubscriptions() {
		have = append(have, d.User+":"+d.Name)
	}
	slices.Sort(have)
	if !slices.Equal(have, names) {
		t.Fatalf("the durable subscriptions are %q, want %q", have, names)
	}
}

// form is how one kind of client writes the headers of a durable subscription.
type form struct {
	connect, subscribe, unsubscribe []string
	name                            string
}

// forms are those of Hoofbeat, RabbitMQ, ActiveMQ and Artemis.
var forms = map[string]form{
	"hoofbeat":           {nil, []string{"durable", "inbox"}, []string{"durable", "inbox"}, "inbox"},
	"hoofbeat, by id":    {nil, []string{"durable", "inbox"}, []string{"durable", "true"}, "inbox"},
	"rabbitmq":           {nil, []string{"durable", "true", "auto-delete", "false"}, []string{"durable", "true", "auto-delete", "false"}, "1"},
	"rabbitmq, older":    {nil, []string{"persistent", "true", "auto-delete", "false"}, []string{"persistent", "true", "auto-delete", "false"}, "1"},
	"activemq":           {[]string{"client-id", "pc7"}, []string{"activemq.subscriptionName", "inbox"}, []string{"activemq.subscriptionName", "inbox"}, "pc7.inbox"},
	"activemq, misspelt": {[]string{"client-id", "pc7"}, []string{"activemq.subcriptionName", "inbox"}, []string{"activemq.subcriptionName", "inbox"}, "pc7.inbox"},
	"artemis":            {[]string{"client-id", "pc7"}, []string{"durable-subscription-name", "inbox"}, []string{"durable-subscription-name", "inbox"}, "pc7.inbox"},
	"artemis, older":     {[]string{"client-id", "pc7"}, []string{"durable-subscriber-name", "inbox"}, []string{"durable-subscriber-name", "inbox"}, "pc7.inbox"},
}

// Each form works over a real WebSocket and a real TCP connection: the client
// gets what came while it was away, once, keeps it over a DISCONNECT and a lost
// connection, and deletes it.
func TestDurableForms(t *testing.T) {
	srv := startBroker(t, withDurable(broker.Durable{}))
	b := srv.Broker
	for name, form := range forms {
		for _, ws := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/websocket=%v", name, ws), func(t *testing.T) {
				connect := func() *peer {
					p := rawDial(t, srv, ws).connect(t, append([]string{"login", "ann", "heart-beat", "0,0"}, form.connect...)...)
					p.subscribe(t, "1", "/topic/orders/eu", form.subscribe...)
					return p
				}
				gets := func(p *peer, bodies ...string) {
					t.Helper()
					for _, body := range bodies {
						if e := p.next(t); e.what != "MESSAGE" || string(e.f.Body) != body || e.f.Get("destination") != "/topic/orders/eu" || e.f.Get("subscription") != "1" {
							t.Fatalf("got %v, want %s", e, body)
						}
					}
				}
				away := func() {
					t.Helper()
					brokertest.Eventually(t, "the subscription is free", func() bool { return theDurable(t, b).Session == "" })
				}
				p := connect()
				publish(t, b, "/topic/orders/eu", "1")
				publish(t, b, "/topic/orders/us", "no")
				gets(p, "1")
				_ = p.Close() // the connection is lost
				away()
				publish(t, b, "/topic/orders/eu", "2")
				publish(t, b, "/topic/orders/eu", "3")
				wantDurables(t, b, "ann:"+form.name)

				p = connect()
				gets(p, "2", "3")
				publish(t, b, "/topic/orders/eu", "4")
				gets(p, "4")
				p.send(t, "UNSUBSCRIBE", "", "id", "1", "receipt", "u") // keeps it
				p.receipt(t, "u")
				publish(t, b, "/topic/orders/eu", "5")
				p.subscribe(t, "1", "/topic/orders/eu", form.subscribe...)
				gets(p, "5")
				p.send(t, "DISCONNECT", "", "receipt", "d")
				p.receipt(t, "d")
				_ = p.Close()
				away()
				publish(t, b, "/topic/orders/eu", "6")

				p = connect()
				gets(p, "6")
				p.send(t, "UNSUBSCRIBE", "", append([]string{"id", "1", "receipt", "gone"}, form.unsubscribe...)...)
				p.receipt(t, "gone")
				wantDurables(t, b)
				publish(t, b, "/topic/orders/eu", "7")
				p.send(t, "UNSUBSCRIBE", "", append([]string{"id", "1", "receipt", "again"}, form.unsubscribe...)...)
				p.receipt(t, "again")
				p.subscribe(t, "1", "/topic/orders/eu", form.subscribe...) // a new one, which is empty
				p.send(t, "UNSUBSCRIBE", "", append([]string{"id", "1", "receipt", "end"}, form.unsubscribe...)...)
				p.receipt(t, "end")
				wantDurables(t, b)
				if n := slices.Collect(b.Destinations()); len(n) != 0 {
					t.Errorf("there are destinations: %+v", n)
				}
			})
		}
	}
}

// A client whose connection is cut while it holds messages gets them again.
func TestDurableUnacknowledged(t *testing.T) {
	srv := startBroker(t, withDurable(broker.Durable{}))
	b := srv.Broker
	p := rawTCP(t, srv).connect(t, "login", "ann", "heart-beat", "0,0")
	p.subscribe(t, "1", "/topic/orders/**", "durable", "inbox", "ack", "client-individual", "prefetch-count", "3")
	for i := range 6 {
		publish(t, b, fmt.Sprint("/topic/orders/", i), fmt.Sprint(i))
	}
	var acks []string
	for i := range 3 {
		e := p.next(t)
		if e.what != "MESSAGE" || string(e.f.Body) != fmt.Sprint(i) {
			t.Fatalf("got %v, want %d", e, i)
		}
		acks = append(acks, e.f.Get("ack"))
	}
	if d := theDurable(t, b); d.Messages != 6 || d.Unacknowledged != 3 {
		t.Fatalf("the subscription is %+v, want 6 messages, 3 of them unacknowledged", d)
	}
	p.send(t, "ACK", "", "id", acks[1], "receipt", "a")
	if e := p.next(t); e.what != "MESSAGE" || string(e.f.Body) != "3" { // there is room for one more
		t.Fatalf("got %v, want 3", e)
	}
	p.receipt(t, "a")
	_ = p.Close()
	brokertest.Eventually(t, "the session ends", func() bool { return theDurable(t, b).Session == "" })

	c := brokertest.Connect(t, b, "login", "ann")
	c.Subscribe(t, "2", "/topic/orders/**", "durable", "inbox", "ack", "client")
	got := wantMessages(t, c, "0", "2", "3", "4", "5")
	for i, m := range got {
		again := "true"
		if i > 2 {
			again = "-"
		}
		wantHeaders(t, m, "redelivered", again, "dropped", "-", "destination", "/topic/orders/"+string(m.Body))
	}
	c.Send("ACK", "", "id", got[3].Get("ack")) // all but the last
	c.Sync(t)
	if d := theDurable(t, b); d.Messages != 1 || d.Unacknowledged != 1 {
		t.Fatalf("the subscription is %+v, want one message", d)
	}
}

func TestDurableSelectorAndPattern(t *testing.T) {
	b := newBroker(t, withDurable(broker.Durable{}))
	c := brokertest.Connect(t, b, "login", "ann")
	c.Subscribe(t, "s", "/topic/orders/*", "durable", "inbox", "selector", "headers.k == 'v'")
	c.Close()
	sender := brokertest.Connect(t, b)
	for i, d := range []string{"/topic/orders/eu", "/topic/orders/us", "/topic/orders/eu/x", "/topic/orders/"} {
		send(t, sender, d, fmt.Sprint(i), "k", "v")
		send(t, sender, d, "no", "k", "w")
	}
	c = brokertest.Connect(t, b, "login", "ann")
	c.Subscribe(t, "s", "/topic/orders/*", "durable", "inbox", "selector", "headers.k == 'v'")
	wantMessages(t, c, "0", "1")
}

func TestDurableDelete(t *testing.T) {
	b := newBroker(t, withDurable(broker.Durable{}))
	if err := b.DeleteDurable("ann", "inbox"); !errors.Is(err, broker.ErrNoDurable) {
		t.Errorf("deleting none: %v", err)
	}
	c := attach(t, b, "ann", "ack", "client")
	c.Subscribe(t, "n", "/user/topic/session")
	publish(t, b, "/topic/orders/eu", "1")
	expectMessage(t, c, "1")
	if err := b.DeleteDurable("ann", "inbox"); err != nil {
		t.Fatal(err)
	}
	c.Send("SEND", "", "destination", "/topic/any") // over this transport a session is woken by its client
	if m := c.Expect(t, "MESSAGE"); !strings.Contains(string(m.Body), `"subscription-ended"`) || m.Get("subscription") != "n" {
		t.Errorf("the notice is %q", m.Body)
	}
	publish(t, b, "/topic/orders/eu", "2")
	c.Subscribe(t, "s", "/topic/orders/eu", "durable", "inbox") // the same id, since the old one has ended
	wantMessages(t, c)
	wantDurables(t, b, "ann:inbox")
}

// A client deletes its subscription at the moment when the program does so: both
// have what they want.
func TestDurableDeletedTwice(t *testing.T) {
	b := newBroker(t, withDurable(broker.Durable{}))
	c := attach(t, b, "ann")
	if err := b.DeleteDurable("ann", "inbox"); err != nil {
		t.Fatal(err)
	}
	c.Send("UNSUBSCRIBE", "", "id", "s", "durable", "inbox", "receipt", "r") // over this transport a session is woken by its client
	c.ExpectReceipt(t, "r")
	c.Subscribe(t, "s", "/topic/orders/eu", "durable", "inbox")
	c.Sync(t)
	wantDurables(t, b, "ann:inbox")
}

// With a history too, a durable subscription gets its own list, and the message
// is in memory once.
func TestDurableWithHistory(t *testing.T) {
	o := withDurable(broker.Durable{})
	o.History = []broker.History{{Destination: "/topic/orders/**"}}
	b := newBroker(t, o)
	attach(t, b, "ann").Close()
	publish(t, b, "/topic/orders/eu", "1")
	c := attach(t, b, "ann")
	publish(t, b, "/topic/orders/eu", "2")
	for _, m := range wantMessages(t, c, "1", "2") {
		wantHeaders(t, m, "offset", "-", "dropped", "-")
	}
	live := brokertest.Connect(t, b)
	subscribeFrom(t, live, "l", "/topic/orders/eu", "offset", "first")
	wantMessages(t, live, "1", "2")
}
