package broker_test

import (
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/selector"
)

// What subscriptions count is given back when they end, and follows the policy.
// What they hold in fact is measured by TestSubscriptionsHoldWhatTheyCount.

func TestSubscriptionBytesAreGivenBack(t *testing.T) {
	b := brokertest.New(t, broker.Options{Selector: selector.Compile, Limits: broker.Limits{SubscriptionBytes: 3000}})
	c := brokertest.Connect(t, b)
	big := []string{"selector", "headers.a == 'x'", "receipt", "r"}
	for range 20 {
		c.Subscribe(t, strings.Repeat("i", 500), "/topic/?a/*", big[:2]...)
		c.Send("UNSUBSCRIBE", "", "id", strings.Repeat("i", 500))
	}
	c.Subscribe(t, "1"+strings.Repeat("i", 500), "/topic/?a/*", big[:2]...)
	c.Send("SUBSCRIBE", "", "id", strings.Repeat("i", 1500), "destination", "/topic/b")
	wantError(t, c, 4429, "more than 3000 bytes in subscriptions (limits.subscription_bytes)")
}

func TestSubscriptionBytesFollowThePolicy(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, strings.Repeat("i", 3000), "/topic/a")
	setPolicy(t, b, broker.Policy{Limits: broker.Limits{SubscriptionBytes: 3000}})
	c.Sync(t) // has more than it may take further, and stays
	c.Send("SUBSCRIBE", "", "id", "2", "destination", "/topic/b")
	wantError(t, c, 4429, "more than 3000 bytes in subscriptions (limits.subscription_bytes)")
}
