package broker_test

import (
	"fmt"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// A client cannot fill the router with patterns that are compared one by one: each
// user has a share, whatever the number of sessions, and others still have theirs.
func TestSlowPatternsAreShared(t *testing.T) {
	b := brokertest.New(t, broker.Options{Limits: broker.Limits{SlowPatterns: 3, SlowPatternsPerUser: 2}})
	const mine = "too many patterns that are slow to compare, of this user or address: limits.slow_patterns_per_user is 2"
	const all = "too many patterns that are slow to compare: limits.slow_patterns is 3"
	ann, again := brokertest.Connect(t, b, "login", "ann"), brokertest.Connect(t, b, "login", "ann")
	ann.Subscribe(t, "1", "/topic/a*b")
	again.Subscribe(t, "1", "/topic/a*b") // costs no more than one
	again.Subscribe(t, "2", "/topic/?")
	for i := range 10 { // these are no slower for being many
		again.Subscribe(t, fmt.Sprint("fast", i), fmt.Sprintf("/topic/a%d*", i))
	}
	ann.Send("SUBSCRIBE", "", "id", "2", "destination", "/topic/*a*")
	wantError(t, ann, 4429, mine)

	bob := brokertest.Connect(t, b, "login", "bob")
	bob.Subscribe(t, "1", "/topic/?") // there already
	bob.Subscribe(t, "2", "/topic/*b*")
	carol := brokertest.Connect(t, b, "login", "carol")
	carol.Subscribe(t, "1", "/topic/*b*")
	carol.Send("SUBSCRIBE", "", "id", "2", "destination", "/topic/*c*")
	wantError(t, carol, 4429, all)
	publish(t, b, "/topic/bb", "x")
	expectMessage(t, bob, "x")

	bob.Send("UNSUBSCRIBE", "", "id", "2")
	bob.Subscribe(t, "3", "/topic/*c*")
	again.Send("UNSUBSCRIBE", "", "id", "1") // ann's first session has ended, and this one has another
	again.Subscribe(t, "3", "/topic/*c*")
	if st := b.Stats(); st.Limited["limits.slow_patterns"] != 1 || st.Limited["limits.slow_patterns_per_user"] != 1 {
		t.Errorf("limited %v", st.Limited)
	}
	for _, c := range []*brokertest.Client{bob, again} {
		c.Close()
	}
	brokertest.Eventually(t, "all are gone", func() bool { return b.Stats().Sessions == 0 && b.Stats().Subscriptions == 0 })
	if all, owners := b.SlowPatterns(); all != 0 || owners != 0 {
		t.Errorf("%d patterns of %d owners are left", all, owners)
	}
}

// The refused SUBSCRIBE leaves no selector behind.
func TestRefusedSubscribeKeepsNoSelector(t *testing.T) {
	b := brokertest.New(t, broker.Options{Limits: broker.Limits{SlowPatternsPerUser: 1}, Selector: func(string) (func(*broker.Message) bool, error) {
		return func(*broker.Message) bool { return true }, nil
	}})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "1", "/topic/?a")
	c.Send("SUBSCRIBE", "", "id", "2", "destination", "/topic/?b", "selector", "x")
	wantError(t, c, 4429, "limits.slow_patterns_per_user is 1")
	if n := b.Selectors(); n != 0 {
		t.Errorf("%d selectors are left", n)
	}
}
