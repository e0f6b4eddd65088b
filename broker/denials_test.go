package broker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// A page that reconnects for ever after a denial is slowed down; another user,
// and another session of the same one, are not.
func TestRepeatedDenialsAreSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rules, err := auth.NewRules(
			auth.Rule{Effect: auth.Deny, Actions: []auth.Action{auth.Subscribe}, Destination: "/topic/secret"},
			auth.Rule{Effect: auth.Allow, Actions: []auth.Action{auth.Subscribe}, Destination: "/topic/**"},
		)
		if err != nil {
			t.Fatal(err)
		}
		b := brokertest.New(t, broker.Options{Authenticator: auth.TrustLogin, Authorizer: rules})
		denial := func(user string) time.Duration {
			c := brokertest.Connect(t, b, "login", user, "heart-beat", "0,0")
			since := time.Now()
			c.Send("SUBSCRIBE", "", "id", "1", "destination", "/topic/secret")
			c.Expect(t, "ERROR")
			return time.Since(since)
		}
		for i, want := range []time.Duration{
			0, 0, 0, 0, 0, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second,
		} {
			if got := denial("ann"); got != want {
				t.Errorf("denial %d is answered after %v, want %v", i+1, got, want)
			}
		}
		since := time.Now()
		if d := denial("bob"); d != 0 {
			t.Errorf("another user waits %v", d)
		}
		other := brokertest.Connect(t, b, "login", "ann", "heart-beat", "0,0")
		other.Subscribe(t, "1", "/topic/fine")
		if d := time.Since(since); d != 0 {
			t.Errorf("another session of the user waits %v", d)
		}
		time.Sleep(61 * time.Second) // of the bubble's clock
		if d := denial("ann"); d != 0 {
			t.Errorf("a minute later the denial is answered after %v", d)
		}
	})
}

// While the ERROR is held back the session gets what others send, and ends at
// once when the broker does.
func TestHeldDenialHoldsBackNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{Authorizer: auth.Guarded()})
		for range 12 {
			c := brokertest.Connect(t, b, "heart-beat", "0,0")
			c.Send("SUBSCRIBE", "", "id", "1", "destination", "/queue/jobs")
			c.Expect(t, "ERROR")
		}
		c := brokertest.Connect(t, b, "heart-beat", "0,0")
		c.Subscribe(t, "1", "/topic/a")
		c.Send("SUBSCRIBE", "", "id", "2", "destination", "/queue/jobs")
		synctest.Wait()
		since := time.Now()
		publish(t, b, "/topic/a", "meanwhile")
		expectMessage(t, c, "meanwhile")
		if d := time.Since(since); d != 0 {
			t.Errorf("a message waited %v", d)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(since); d > 4*time.Second {
			t.Errorf("Close waited %v", d)
		}
	})
}
