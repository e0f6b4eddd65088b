package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
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

// refusedSubscribe sends a SUBSCRIBE and expects an ERROR.
func refusedSubscribe(t testing.TB, c *brokertest.Client, code int, text string, headers ...string) {
	t.Helper()
	c.Send("SUBSCRIBE", "", append([]string{"id", "x"}, headers...)...)
	wantError(t, c, code, text)
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
	srv := brokertest.Start(t, withDurable(broker.Durable{}))
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
	srv := brokertest.Start(t, withDurable(broker.Durable{}))
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

func TestDurableDeadLetters(t *testing.T) {
	o := withDurable(broker.Durable{})
	o.Queues.Attempts = 2
	b := brokertest.New(t, o)
	c := attach(t, b, "a n", "ack", "client-individual")
	publish(t, b, "/topic/orders/eu", "bad")
	for range 2 {
		c.Send("NACK", "", "id", expectMessage(t, c, "bad").Get("ack"))
	}
	wantMessages(t, c)
	const dead = "/queue/DLQ.durable-subscription/a%20n/inbox"
	refusedSubscribe(t, brokertest.Connect(t, b, "login", "bob"), 4403, "not allowed to subscribe to the dead letters of another user", "destination", dead)
	refusedSubscribe(t, brokertest.Connect(t, b), 4403, "not allowed to subscribe to the dead letters of another user", "destination", dead)
	c.Subscribe(t, "d", dead)
	m := expectMessage(t, c, "bad")
	wantHeaders(t, m, "original-destination", "/topic/orders/eu", "delivery-attempts", "2", "dead-letter-reason", "attempts")
}

func TestDurableDropsItsOldest(t *testing.T) {
	for name, d := range map[string]broker.Durable{"messages": {Messages: 3}, "bytes": {Bytes: 1000}} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.New(t, withDurable(d))
			attach(t, b, "ann").Close()
			for i := range 10 { // each counts as 250 to 333 bytes
				publish(t, b, "/topic/orders/eu", fmt.Sprint(i))
			}
			if d := theDurable(t, b); d.Messages != 3 || d.Dropped != 7 {
				t.Fatalf("the subscription is %+v, want 3 messages and 7 dropped", d)
			}
			c := attach(t, b, "ann")
			publish(t, b, "/topic/orders/eu", "10")
			for i, m := range wantMessages(t, c, "7", "8", "9", "10") {
				says := "-"
				if i == 0 {
					says = "7"
				}
				wantHeaders(t, m, "dropped", says)
			}
			if st := b.Stats(); st.DurableSubscriptions != 1 || st.DurableMessages != 0 || st.DurableBytes != 0 || st.DurableDropped != 7 {
				t.Errorf("the statistics are %+v", st)
			}
			if err := b.DeleteDurable("ann", "inbox"); err != nil {
				t.Fatal(err)
			}
			if st := b.Stats(); st.DurableSubscriptions != 0 || st.DurableDropped != 7 {
				t.Errorf("the statistics are %+v", st)
			}
		})
	}
}

// A sender cannot forge the header.
func TestDurableDroppedIsTheBrokers(t *testing.T) {
	b := brokertest.New(t, withDurable(broker.Durable{}))
	c := attach(t, b, "ann")
	live := brokertest.Connect(t, b)
	live.Subscribe(t, "l", "/topic/orders/eu")
	send(t, brokertest.Connect(t, b), "/topic/orders/eu", "1", "dropped", "5", "k", "v")
	wantHeaders(t, expectMessage(t, c, "1"), "dropped", "-", "k", "v")
	wantHeaders(t, expectMessage(t, live, "1"), "dropped", "5", "k", "v")
}

func TestDurableAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, withDurable(broker.Durable{Age: time.Hour, Unused: 3 * time.Hour}))
		attach(t, b, "ann").Close()
		publish(t, b, "/topic/orders/eu", "1")
		time.Sleep(50 * time.Minute)
		publish(t, b, "/topic/orders/eu", "2")
		time.Sleep(20 * time.Minute)
		if d := theDurable(t, b); d.Messages != 1 || d.Dropped != 1 || d.Oldest != 20*time.Minute || time.Since(d.Since) != 70*time.Minute {
			t.Errorf("the subscription is %+v, want one message of 20 minutes", d)
		}
		c := attach(t, b, "ann")
		wantHeaders(t, expectMessage(t, c, "2"), "dropped", "1")
		time.Sleep(4 * time.Hour) // in use
		wantDurables(t, b, "ann:inbox")
		c.Close()
		time.Sleep(3*time.Hour - time.Minute)
		wantDurables(t, b, "ann:inbox")
		time.Sleep(2 * time.Minute)
		wantDurables(t, b)
	})
}

func TestDurableExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, withDurable(broker.Durable{}))
		attach(t, b, "ann").Close()
		sender := brokertest.Connect(t, b)
		send(t, sender, "/topic/orders/eu", "1", "ttl", "1000")
		send(t, sender, "/topic/orders/eu", "2")
		time.Sleep(10 * time.Second)
		if d := theDurable(t, b); d.Messages != 1 || d.Dropped != 0 || b.Stats().Expired != 1 {
			t.Errorf("the subscription is %+v, %d expired", d, b.Stats().Expired)
		}
		wantHeaders(t, expectMessage(t, attach(t, b, "ann"), "2"), "dropped", "-")
	})
}

// The name alone gives nothing: another user's subscription of this name is
// another one, and the one of a session is refused to others.
func TestDurableBelongsToItsUser(t *testing.T) {
	b := brokertest.New(t, withDurable(broker.Durable{}))
	attach(t, b, "ann").Close()
	publish(t, b, "/topic/orders/eu", "1")
	bob := attach(t, b, "bob")
	wantMessages(t, bob)
	bob.Send("UNSUBSCRIBE", "", "id", "s", "durable", "inbox")
	bob.Sync(t)
	wantDurables(t, b, "ann:inbox")
	ann := attach(t, b, "ann")
	wantMessages(t, ann, "1")

	second := brokertest.Connect(t, b, "login", "ann")
	refusedSubscribe(t, second, 4403, `the durable subscription "inbox" is in use`, "destination", "/topic/orders/eu", "durable", "inbox")
	third := brokertest.Connect(t, b, "login", "ann")
	third.Send("UNSUBSCRIBE", "", "id", "s", "durable", "inbox")
	wantError(t, third, 4403, `the durable subscription "inbox" is in use by another session of yours`)
	publish(t, b, "/topic/orders/eu", "2")
	wantMessages(t, ann, "2")
	ann.Close()
	wantMessages(t, attach(t, b, "ann"))
}

func TestDurableRefusals(t *testing.T) {
	b := brokertest.New(t, func() broker.Options {
		o := withDurable(broker.Durable{})
		o.Durable = append(o.Durable, broker.Durable{Destination: "/topic/news/*"})
		return o
	}())
	attach(t, b, "ann", "selector", "headers.k == 'v'").Close()
	long := strings.Repeat("n", 257)
	for _, c := range []struct {
		user    string
		code    int
		text    string
		headers []string
	}{
		{"", 4403, "a durable subscription needs a user", []string{"destination", "/topic/orders/eu", "durable", "inbox"}},
		{"ann", 1002, "no entry of durable[].destination covers it (durable)", []string{"destination", "/topic/prices", "durable", "inbox"}},
		{"ann", 1002, "no entry of durable[].destination covers it (activemq.subscriptionName)", []string{"destination", "/topic/**", "activemq.subscriptionName", "inbox", "client", "1"}},
		{"ann", 1002, "no entry of durable[].destination covers it (durable)", []string{"destination", "/topic/news/a/b", "durable", "true", "auto-delete", "false"}},
		{"ann", 1002, "no entry of durable[].destination covers it", []string{"destination", "/queue/a", "durable", "inbox"}},
		{"ann", 1002, "no entry of durable[].destination covers it", []string{"destination", "/user/queue/a", "durable", "true", "auto-delete", "false"}},
		{"ann", 1002, "no entry of durable[].destination covers it", []string{"destination", "/app/a", "durable", "inbox"}},
		{"ann", 1002, "durable:true needs auto-delete:false", []string{"destination", "/topic/orders/eu", "durable", "true"}},
		{"ann", 1002, "needs a client-id of at most 256 bytes in CONNECT", []string{"destination", "/topic/orders/eu", "durable-subscription-name", "inbox", "noclient", "1"}},
		{"ann", 1002, "longer than 256 bytes", []string{"destination", "/topic/orders/eu", "durable", long}},
		{"ann", 1002, "has no offset", []string{"destination", "/topic/orders/eu", "durable", "a", "offset", "first"}},
		{"ann", 1002, `"inbox" is to "/topic/orders/eu" with the selector "headers.k == 'v'", which cannot change`, []string{"destination", "/topic/orders/eu", "durable", "inbox"}},
		{"ann", 1002, "which cannot change", []string{"destination", "/topic/orders/eu", "durable", "inbox", "selector", "headers.k == 'w'"}},
		{"ann", 1002, "which cannot change", []string{"destination", "/topic/orders/us", "durable", "inbox", "selector", "headers.k == 'v'"}},
		{"ann", 1002, "which cannot change", []string{"destination", "/topic/orders/**", "durable", "inbox", "selector", "headers.k == 'v'"}},
		{"ann", 1002, "selector header", []string{"destination", "/topic/orders/eu", "durable", "b", "selector", "("}},
		{"ann", 1002, "prefetch-count must be a whole number", []string{"destination", "/topic/orders/eu", "durable", "b", "prefetch-count", "x"}},
	} {
		connect := []string{"login", c.user, "client-id", "pc7"}
		if slices.Contains(c.headers, "noclient") {
			connect[3] = ""
		}
		refusedSubscribe(t, brokertest.Connect(t, b, connect...), c.code, c.text, c.headers...)
	}
	wantDurables(t, b, "ann:inbox")

	c := brokertest.Connect(t, b, "login", "ann")
	c.Subscribe(t, "q", "/queue/a", "durable", "true", "auto-delete", "false") // as every queue
	c.Send("UNSUBSCRIBE", "", "id", "q", "durable", "true", "auto-delete", "false")
	c.Subscribe(t, "f", "/topic/prices", "durable", "false")
	c.Send("UNSUBSCRIBE", "", "id", "f", "durable", "inbox")
	wantError(t, c, 1002, `the subscription "f" is not the durable subscription "inbox"`)
	wantDurables(t, b, "ann:inbox")
}

// Without Options.Durable all forms are refused.
func TestDurableIsOffByDefault(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	for name, form := range forms {
		c := brokertest.Connect(t, b, append([]string{"login", "ann"}, form.connect...)...)
		c.Send("SUBSCRIBE", "", append([]string{"id", "1", "destination", "/topic/orders/eu"}, form.subscribe...)...)
		if f := wantError(t, c, 1002, "no entry of durable[].destination covers it"); t.Failed() {
			t.Fatalf("%s: %v", name, f)
		}
	}
}

func TestDurableSelectorAndPattern(t *testing.T) {
	b := brokertest.New(t, withDurable(broker.Durable{}))
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

// Patterns and selectors of a durable subscription count as those of others do,
// and are given back.
func TestDurableCountsWhatSlowsRouting(t *testing.T) {
	o := withDurable(broker.Durable{})
	o.Limits.SlowPatternsPerUser, o.Limits.SelectorsPerUser = 1, 1
	b := brokertest.New(t, o)
	subscribe := func(name, destination, expression string) *brokertest.Client {
		c := brokertest.Connect(t, b, "login", "ann")
		c.Send("SUBSCRIBE", "", "id", "s", "destination", destination, "durable", name, "selector", expression, "receipt", "r")
		return c
	}
	subscribe("a", "/topic/orders/a?", "headers.k == 'v'").ExpectReceipt(t, "r")
	wantError(t, subscribe("b", "/topic/orders/b?", "headers.k == 'v'"), 4429, "limits.slow_patterns_per_user is 1")
	wantError(t, subscribe("b", "/topic/orders/b", "headers.k == 'w'"), 4429, "limits.selectors_per_user is 1")
	if err := b.DeleteDurable("ann", "a"); err != nil {
		t.Fatal(err)
	}
	subscribe("b", "/topic/orders/b?", "headers.k == 'w'").ExpectReceipt(t, "r")
}

func TestDurableLimits(t *testing.T) {
	o := withDurable(broker.Durable{})
	o.Limits.Durable, o.Limits.DurablePerUser = 3, 2
	b := brokertest.New(t, o)
	subscribe := func(user, name string) *brokertest.Client {
		c := brokertest.Connect(t, b, "login", user)
		c.Send("SUBSCRIBE", "", "id", "s", "destination", "/topic/orders/eu", "durable", name, "receipt", "r")
		return c
	}
	subscribe("ann", "1").ExpectReceipt(t, "r")
	subscribe("ann", "2").ExpectReceipt(t, "r")
	wantError(t, subscribe("ann", "3"), 4429, "too many durable subscriptions of this user: limits.durable_per_user is 2")
	subscribe("bob", "1").ExpectReceipt(t, "r")
	wantError(t, subscribe("bob", "2"), 4429, "too many durable subscriptions: limits.durable is 3")
	if n := b.DeleteDurables("ann"); n != 2 {
		t.Errorf("%d deleted, want 2", n)
	}
	wantDurables(t, b, "bob:1")
	subscribe("bob", "2").ExpectReceipt(t, "r")
	if l := b.Stats().Limited; l["limits.durable"] != 1 || l["limits.durable_per_user"] != 1 {
		t.Errorf("the statistics count %v", l)
	}
}

// What waits counts in the shares of the queues. A subscription whose user has
// no share left drops its own messages, and nobody else's.
func TestDurableCountsInTheShares(t *testing.T) {
	o := withDurable(broker.Durable{})
	o.Queues.BytesPerUser = 2000
	b := brokertest.New(t, o)
	attach(t, b, "ann").Close()
	attach(t, b, "bob").Close()
	ann := brokertest.Connect(t, b, "login", "ann")
	send(t, ann, "/queue/a", strings.Repeat("x", 1300)) // leaves room for one
	for i := range 3 {
		send(t, ann, "/topic/orders/eu", fmt.Sprint(i))
	}
	ann.Subscribe(t, "s", "/topic/orders/eu", "durable", "inbox")
	wantHeaders(t, wantMessages(t, ann, "2")[0], "dropped", "2")
	wantMessages(t, attach(t, b, "bob"), "0", "1", "2")
}

func TestDurableDelete(t *testing.T) {
	b := brokertest.New(t, withDurable(broker.Durable{}))
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

// The rules are asked whenever the client comes back, and when they change. A
// pattern must be allowed with all its destinations. A denied client loses
// nothing.
func TestDurableRules(t *testing.T) {
	open := []auth.Rule{allow("/topic/**", auth.Subscribe, auth.Send)}
	without := append([]auth.Rule{deny("/topic/orders/secret", auth.Subscribe)}, open...)
	o := withDurable(broker.Durable{})
	o.Authorizer = rules(t, open...)
	b := brokertest.New(t, o)
	c := brokertest.Connect(t, b, "login", "ann")
	c.Subscribe(t, "s", "/topic/orders/**", "durable", "all", "ack", "client")
	c.Subscribe(t, "t", "/topic/orders/eu", "durable", "eu")
	if err := b.SetPolicy(broker.Policy{Authorizer: rules(t, without...)}); err != nil {
		t.Fatal(err)
	}
	c.Sync(t)
	publish(t, b, "/topic/orders/secret", "1")
	publish(t, b, "/topic/orders/eu", "2")
	wantMessages(t, c, "2") // of the second subscription
	refusedSubscribe(t, brokertest.Connect(t, b, "login", "ann"), 4403, "the rules must allow all its destinations", "destination", "/topic/orders/**", "durable", "all")
	wantDurables(t, b, "ann:all", "ann:eu")
	if err := b.SetPolicy(broker.Policy{Authorizer: rules(t, open...)}); err != nil {
		t.Fatal(err)
	}
	c = brokertest.Connect(t, b, "login", "ann")
	c.Subscribe(t, "s", "/topic/orders/**", "durable", "all")
	wantMessages(t, c, "1", "2")
}

// Revoking ends sessions and no data.
func TestDurableOutlivesRevocation(t *testing.T) {
	o := withDurable(broker.Durable{})
	revocations := auth.NewRevocations()
	o.Revocations = revocations
	b := brokertest.New(t, o)
	c := attach(t, b, "ann")
	if err := revocations.Revoke(context.Background(), auth.Revocation{User: "ann"}); err != nil {
		t.Fatal(err)
	}
	c.Ended(t)
	wantDurables(t, b, "ann:inbox")
}

// With a history too, a durable subscription gets its own list, and the message
// is in memory once.
func TestDurableWithHistory(t *testing.T) {
	o := withDurable(broker.Durable{})
	o.History = []broker.History{{Destination: "/topic/orders/**"}}
	b := brokertest.New(t, o)
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

func TestDurableOptions(t *testing.T) {
	for destination, text := range map[string]string{
		"/queue/a":  "can have durable subscriptions",
		"topic":     "Durable[0].Destination",
		"/topic/a/": "a slash at its end",
	} {
		_, err := broker.New(broker.Options{Durable: []broker.Durable{{Destination: destination}}})
		var bad *broker.OptionError
		if !errors.As(err, &bad) || bad.Field != "Durable[0].Destination" || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", destination, err)
		}
	}
}

// A client that comes and goes while others publish misses nothing without a
// sign: each message follows the one before, or says how many were dropped.
func TestDurableUnderPublishers(t *testing.T) {
	b := brokertest.New(t, withDurable(broker.Durable{Messages: 20}))
	attach(t, b, "ann").Close()
	const messages = 2000
	published := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < messages && err == nil; i++ {
			err = b.Publish(context.Background(), &broker.Message{Destination: "/topic/orders/eu", Body: fmt.Append(nil, i)})
		}
		published <- err
	}()
	number := func(s string) (n int) {
		t.Helper()
		if s == "" {
			return 0
		}
		if _, err := fmt.Sscan(s, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	next := 0
	visit := func() (taken int) {
		t.Helper()
		c := attach(t, b, "ann", "ack", "client-individual", "prefetch-count", "5")
		defer c.Close()
		for _, m := range c.Sync(t) {
			n, lost := number(string(m.Body)), number(m.Get("dropped"))
			if n != next+lost {
				t.Fatalf("got %d with dropped:%d after %d", n, lost, next-1)
			}
			next = n + 1
			taken++
			c.Send("ACK", "", "id", m.Get("ack"))
		}
		c.Sync(t) // what comes now is not acknowledged, and comes again
		return taken
	}
	for done := false; !done; visit() {
		select {
		case err := <-published:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		default:
		}
	}
	for visit() > 0 {
	}
	if next != messages {
		t.Fatalf("the last message was %d, want %d", next-1, messages-1)
	}
	if d := theDurable(t, b); d.Messages != 0 || d.Session != "" {
		t.Errorf("the subscription is %+v, want no messages", d)
	}
}
