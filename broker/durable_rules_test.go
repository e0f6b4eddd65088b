package broker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// refusedSubscribe sends a SUBSCRIBE and expects an ERROR.
func refusedSubscribe(t testing.TB, c *brokertest.Client, code int, text string, headers ...string) {
	t.Helper()
	c.Send("SUBSCRIBE", "", append([]string{"id", "x"}, headers...)...)
	wantError(t, c, code, text)
}

func TestDurableDeadLetters(t *testing.T) {
	o := withDurable(broker.Durable{})
	o.Queues.Attempts = 2
	b := newBroker(t, o)
	c := attach(t, b, "a n", "ack", "client-individual")
	publish(t, b, "/topic/orders/eu", "bad")
	for range 2 {
		c.Send("NACK", "", "id", expectMessage(t, c, "bad").Get("ack"))
	}
	wantMessages(t, c)
	const dead = "/queue/DLQ.durable-subscription/a%20n/inbox"
	refusedSubscribe(t, brokertest.Connect(t, b, "login", "bob"), 4403, "not allowed to subscribe to the dead letters of another user", "destination", dead)
	refusedSubscribe(t, brokertest.Connect(t, b), 4403, "not allowed to subscribe to the dead letters of another user", "destination", dead)
	for _, other := range []*brokertest.Client{brokertest.Connect(t, b, "login", "bob"), brokertest.Connect(t, b)} {
		other.Send("SEND", "forged", "destination", dead)
		wantError(t, other, 4403, "not allowed to send a message to")
	}
	c.Subscribe(t, "d", dead)
	m := expectMessage(t, c, "bad")
	wantHeaders(t, m, "original-destination", "/topic/orders/eu", "delivery-attempts", "2", "dead-letter-reason", "attempts")
}

// The name alone gives nothing: another user's subscription of this name is
// another one, and the one of a session is refused to others.
func TestDurableBelongsToItsUser(t *testing.T) {
	b := newBroker(t, withDurable(broker.Durable{}))
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
	b := newBroker(t, func() broker.Options {
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
		{strings.Repeat("ü", 60), 1002, "escaped, it and the name of the user are in the name of the queue for its dead letters, which has at most 1024 bytes", []string{"destination", "/topic/orders/eu", "durable", strings.Repeat("%", 256)}},
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
	b := newBroker(t, broker.Options{})
	for name, form := range forms {
		c := brokertest.Connect(t, b, append([]string{"login", "ann"}, form.connect...)...)
		c.Send("SUBSCRIBE", "", append([]string{"id", "1", "destination", "/topic/orders/eu"}, form.subscribe...)...)
		if f := wantError(t, c, 1002, "no entry of durable[].destination covers it"); t.Failed() {
			t.Fatalf("%s: %v", name, f)
		}
	}
}

// The rules are asked whenever the client comes back, and when they change. A
// pattern must be allowed with all its destinations. A denied client loses
// nothing.
func TestDurableRules(t *testing.T) {
	open := []auth.Rule{allow("/topic/**", auth.Subscribe, auth.Send)}
	without := append([]auth.Rule{deny("/topic/orders/secret", auth.Subscribe)}, open...)
	o := withDurable(broker.Durable{})
	o.Authorizer = rules(t, open...)
	b := newBroker(t, o)
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
	b := newBroker(t, o)
	c := attach(t, b, "ann")
	if err := revocations.Revoke(context.Background(), auth.Revocation{User: "ann"}); err != nil {
		t.Fatal(err)
	}
	c.Ended(t)
	wantDurables(t, b, "ann:inbox")
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
