package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// What a client hears from the broker itself no other client can say, whatever
// the rules allow and however the destination is spelled.
func TestNobodySendsInTheBrokersName(t *testing.T) {
	for _, destination := range []string{
		"/user/ann/topic/session", "/user/ann/queue/errors", "/user/ann/topic/prices",
		"/user/ann/topic/session/", "/user/ann/topic//session", "/user/ann/queue//errors//",
		"/user/a%2Fb/topic/session", "/user/a%2fb/topic/session", "/user/a%25b/topic/session", "/user/mallory/topic/session",
	} {
		for _, how := range []string{"SEND", "transaction"} {
			t.Run(how+" "+destination, func(t *testing.T) {
				b := newBroker(t, broker.Options{Authorizer: rules(t, everything())})
				if err := b.Reserve("/topic/prices"); err != nil {
					t.Fatal(err)
				}
				ann := brokertest.Connect(t, b, "login", "ann")
				for i, own := range []string{"/topic/session", "/topic/session/", "/topic//session", "/queue/errors", "/queue//errors//", "/topic/prices"} {
					ann.Subscribe(t, fmt.Sprint(i), "/user"+own)
				}
				c := brokertest.Connect(t, b, "login", "mallory")
				if how == "SEND" {
					c.Send("SEND", "forged", "destination", destination)
				} else {
					c.Send("BEGIN", "", "transaction", "t")
					c.Send("SEND", "forged", "destination", destination, "transaction", "t")
					c.Send("COMMIT", "", "transaction", "t")
				}
				wantError(t, c, 4403, fmt.Sprintf("%q", destination))
				if _, err := b.PublishToUser(t.Context(), "ann", &broker.Message{Destination: "/topic/session", Body: []byte("own")}); err != nil {
					t.Fatal(err)
				}
				wantMessages(t, ann, "own")
				if st := b.Stats(); st.Denied != 1 {
					t.Errorf("%d denied, want 1", st.Denied)
				}
			})
		}
	}
}

// Others' private destinations are for the rules, and so are handlers that a SEND
// to one's own private destination reaches.
func TestWhatIsNotReservedIsForTheRules(t *testing.T) {
	b := newBroker(t, broker.Options{Authorizer: rules(t, everything())})
	handled := make(chan string, 2)
	handle(t, b, "/session", func(_ context.Context, r *broker.Request) error { handled <- string(r.Body); return nil })
	ann := brokertest.Connect(t, b, "login", "ann")
	ann.Subscribe(t, "1", "/user/queue/session")
	ann.Subscribe(t, "2", "/user/topic/session/x")
	bob := brokertest.Connect(t, b, "login", "bob")
	send(t, bob, "/user/ann/queue/session", "a")
	send(t, bob, "/user/ann/topic/session/x", "b")
	send(t, bob, "/user/topic/session", "c")
	wantMessages(t, ann, "a", "b")
	if len(handled) != 1 || <-handled != "c" {
		t.Error("the handler was not reached")
	}
}

func TestReserveRefusesWhatIsNoPrivateDestination(t *testing.T) {
	b := newBroker(t, broker.Options{})
	for _, name := range []string{"", "/topic", "/topic/*", "/app/x", "/user/topic/x", "/user/ann/topic/x", "topic/x"} {
		if err := b.Reserve(name); !errors.Is(err, broker.ErrDestination) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
