package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// Names with empty segments are names of their own, and patterns match them as
// Spring's AntPathMatcher does.
func TestEmptySegmentsAreDeliveredAsBySpring(t *testing.T) {
	subscriptions := []string{
		"/topic/**", "/topic/*", "/topic/?", "/topic/??", "/topic/*/", "/topic/?/",
		"/topic/x", "/topic/x/", "/topic//x", "/topic//?", "/topic//x/**",
	}
	for destination, want := range map[string][]string{
		"/topic/x":   {"/topic/**", "/topic/*", "/topic/?", "/topic/x", "/topic//?", "/topic//x/**"},
		"/topic/x/":  {"/topic/**", "/topic/*/", "/topic/?/", "/topic/x/", "/topic//x/**"},
		"/topic//x":  {"/topic/**", "/topic/*", "/topic/?", "/topic//x", "/topic//?", "/topic//x/**"},
		"/topic/xy/": {"/topic/**", "/topic/*/"},
	} {
		t.Run(destination, func(t *testing.T) {
			b := newBroker(t, broker.Options{Authorizer: auth.Open()})
			c, sender := brokertest.Connect(t, b), brokertest.Connect(t, b)
			for _, name := range subscriptions {
				c.Subscribe(t, name, name)
			}
			send(t, sender, destination, "first")
			send(t, sender, destination, "second") // behind whatever the first one would wrongly reach
			var got []string
			for n := 0; n < len(want); {
				m := c.Expect(t, "MESSAGE")
				wantHeaders(t, m, "destination", destination)
				if string(m.Body) == "second" {
					n++
				} else {
					got = append(got, m.Get("subscription"))
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("delivered to %q, want %q", got, want)
			}
		})
	}
}

// Nothing denies them in development mode, and nothing else where a rule allows
// the name without them.
func TestEmptySegmentsAreNoDenial(t *testing.T) {
	allowed := rules(t, allow("/topic/x", auth.Subscribe, auth.Send), allow("/queue/x", auth.Subscribe, auth.Send))
	for name, authorizer := range map[string]auth.Authorizer{"open": auth.Open(), "rules": allowed} {
		for _, destination := range []string{"/topic/x/", "/topic//x", "/queue/x/", "/queue//x//"} {
			t.Run(name+" "+destination, func(t *testing.T) {
				c := brokertest.Connect(t, newBroker(t, broker.Options{Authorizer: authorizer}))
				c.Subscribe(t, "1", destination)
				c.Send("SEND", "hello", "destination", destination)
				wantHeaders(t, expectMessage(t, c, "hello"), "destination", destination)
				c.Sync(t)
			})
		}
	}
}

// The limits of a destination are told with their values.
func TestDestinationLimitsAreNamed(t *testing.T) {
	for destination, want := range map[string]string{
		"/topic" + strings.Repeat("/a", 32):   "more than 32 levels",
		"/topic/" + strings.Repeat("a", 1018): "longer than 1024 bytes",
	} {
		for _, command := range []string{"SEND", "SUBSCRIBE"} {
			c := brokertest.Connect(t, newBroker(t, broker.Options{}))
			c.Send(command, "", "id", "1", "destination", destination)
			wantError(t, c, 1002, want)
		}
	}
	c := brokertest.Connect(t, newBroker(t, broker.Options{}))
	for i, destination := range []string{"/topic" + strings.Repeat("/a", 31), "/topic/" + strings.Repeat("a", 1017)} {
		c.Subscribe(t, fmt.Sprint(i), destination)
	}
}
