package broker_test

import (
	"fmt"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/selector"
)

func TestH7RulesGovernHistory(t *testing.T) {
	o := withHistory(5, "/topic/prices/**")
	o.Authorizer = rules(t, deny("/topic/prices/secret", auth.Subscribe), allow("/**", auth.Subscribe, auth.Send))
	b := newBroker(t, o)
	for _, d := range []string{"a", "secret", "b"} {
		publish(t, b, "/topic/prices/"+d, d)
	}
	epoch := epochOf(t, b, "/topic/prices/a")
	c := brokertest.Connect(t, b)
	wantHeaders(t, subscribeFrom(t, c, "1", "/topic/prices/*", "offset", epoch+":0"), "recovered", "true")
	// The verdicts of the rules for a pattern are asked on another goroutine.
	wantHeaders(t, expectMessage(t, c, "a"), "recovered", "true")
	wantHeaders(t, expectMessage(t, c, "b"), "recovered", "-")
	publish(t, b, "/topic/prices/secret", "secret")
	publish(t, b, "/topic/prices/a", "live")
	expectMessage(t, c, "live")
	refused := brokertest.Connect(t, b)
	refused.Send("SUBSCRIBE", "", "id", "1", "destination", "/topic/prices/secret", "offset", "first")
	wantError(t, refused, 4403, "/topic/prices/secret")
}

// Rules that take a destination away hide its history from then on.
func TestH7NewRulesHideHistory(t *testing.T) {
	o := withHistory(5, "/topic/prices/**")
	o.Authorizer = rules(t, allow("/**", auth.Subscribe, auth.Send))
	b := newBroker(t, o)
	publish(t, b, "/topic/prices/a", "a")
	publish(t, b, "/topic/prices/secret", "secret")
	if err := b.SetPolicy(broker.Policy{Authorizer: rules(t, deny("/topic/prices/secret", auth.Subscribe), allow("/**", auth.Subscribe, auth.Send))}); err != nil {
		t.Fatal(err)
	}
	c := brokertest.Connect(t, b)
	subscribeFrom(t, c, "1", "/topic/prices/*", "offset", "first")
	expectMessage(t, c, "a")
	publish(t, b, "/topic/prices/b", "b")
	expectMessage(t, c, "b")
}

// A slow Authorizer holds the replay of a pattern up, and nothing comes out of
// order or twice, whatever is published meanwhile.
func TestH7SlowAuthorizer(t *testing.T) {
	a := newBlockingAuthorizer()
	o := withHistory(1000, "/topic/slow/**")
	o.Authorizer = a
	b := newBroker(t, o)
	var want []string
	for i := range 300 {
		body := fmt.Sprint(i)
		publish(t, b, fmt.Sprint("/topic/slow/", i%3), body)
		want = append(want, body)
	}
	c := brokertest.Connect(t, b)
	subscribeFrom(t, c, "1", "/topic/slow/*", "offset", "first")
	testkit.Receive(t, a.asked)
	for i := 300; i < 400; i++ {
		body := fmt.Sprint(i)
		publish(t, b, fmt.Sprint("/topic/slow/", i%4), body)
		want = append(want, body)
	}
	publish(t, b, "/topic/slow/secret", "secret")
	close(a.answer)
	for i, body := range want {
		m := expectMessage(t, c, body)
		wantHeaders(t, m, "x-stream-offset", fmt.Sprint(i+1))
	}
	publish(t, b, "/topic/slow/1", "live")
	expectMessage(t, c, "live")
}

func TestH8SelectorsGovernHistory(t *testing.T) {
	o := withHistory(5, "/topic/prices/**")
	o.Selector = selector.Compile
	b := newBroker(t, o)
	put := func(body, region string) {
		m := &broker.Message{Destination: "/topic/prices/a", Body: []byte(body), Headers: []broker.Header{{Name: "region", Value: region}}}
		if err := b.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	put("1", "us")
	put("2", "eu")
	put("3", "us")
	epoch := epochOf(t, b, "/topic/prices/a")
	c := brokertest.Connect(t, b)
	wantHeaders(t, subscribeFrom(t, c, "1", "/topic/prices/a", "offset", epoch+":0", "selector", "headers.region == 'eu'"), "recovered", "true")
	put("4", "us")
	put("5", "eu")
	got := wantMessages(t, c, "2", "5")
	wantHeaders(t, got[0], "recovered", "true")
	wantHeaders(t, got[1], "recovered", "-")
	// The first that is selected says it, even if it is live.
	c = brokertest.Connect(t, b)
	subscribeFrom(t, c, "1", "/topic/prices/a", "offset", epoch+":5", "selector", "headers.region == 'eu'")
	put("6", "us")
	put("7", "eu")
	wantHeaders(t, wantMessages(t, c, "7")[0], "recovered", "true")
}
