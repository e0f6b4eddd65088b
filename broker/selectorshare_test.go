package broker_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// A client cannot make everybody's SEND slow by many different selectors: each user
// has a share, whatever the number of sessions, and so has each anonymous address.
func TestSelectorsAreShared(t *testing.T) {
	const refused = "too many different selectors of this user or address: limits.selectors_per_user is 2"
	all := func(string) (func(*broker.Message) bool, error) {
		return func(*broker.Message) bool { return true }, nil
	}
	for who, login := range map[string][]string{"user": {"login", "ann"}, "address": nil} {
		t.Run(who, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{Selector: all, Limits: broker.Limits{SelectorsPerUser: 2}})
			first, again := brokertest.Connect(t, b, login...), brokertest.Connect(t, b, login...)
			selective(t, first, "1", "a")
			selective(t, again, "1", "a") // costs no more than one
			selective(t, again, "2", "b")
			selective(t, again, "3", "b")
			first.Send("SUBSCRIBE", "", "id", "2", "destination", "/topic/t", "selector", "c")
			wantError(t, first, 4429, refused)
			if n := b.Selectors(); n != 2 {
				t.Errorf("%d selectors are kept, want 2", n)
			}

			bob := brokertest.Connect(t, b, "login", "bob") // has a share of his own
			selective(t, bob, "1", "c")
			selective(t, bob, "2", "d")

			again.Send("UNSUBSCRIBE", "", "id", "1") // the last with this expression
			selective(t, again, "4", "c")
			if n := b.Stats().Limited["limits.selectors_per_user"]; n != 1 {
				t.Errorf("%d were limited, want 1", n)
			}
			again.Close()
			bob.Close()
			brokertest.Eventually(t, "all are gone", func() bool { return b.Stats().Sessions == 0 && b.Stats().Subscriptions == 0 })
			if kept, owners := b.Selectors(), b.SelectorOwners(); kept != 0 || owners != 0 {
				t.Errorf("%d selectors of %d owners are left", kept, owners)
			}
		})
	}
}

func selective(t *testing.T, c *brokertest.Client, id, selector string) {
	t.Helper()
	c.Send("SUBSCRIBE", "", "id", id, "destination", "/topic/t", "selector", selector, "receipt", "r"+id)
	c.ExpectReceipt(t, "r"+id)
}

// A message is judged once by each selector that several subscriptions have,
// however many selectors there are.
func TestOneVerdictForEachSelector(t *testing.T) {
	const different, subscribers = 30, 4
	var judged atomic.Int32
	b := brokertest.New(t, broker.Options{Selector: func(string) (func(*broker.Message) bool, error) {
		return func(*broker.Message) bool { judged.Add(1); return false }, nil
	}})
	for range subscribers {
		c := brokertest.Connect(t, b, "login", "ann")
		for i := range different {
			selective(t, c, fmt.Sprint(i), fmt.Sprint("expression ", i))
		}
	}
	alone := brokertest.Connect(t, b, "login", "bob")
	selective(t, alone, "1", "another")
	publish(t, b, "/topic/t", "x")
	if n := judged.Load(); n != different+1 {
		t.Errorf("judged %d times, want %d", n, different+1)
	}
}
