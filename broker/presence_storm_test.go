package broker_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// After a storm of clients that come and go, a watcher has missed nothing, and
// nothing of the room is left.
func TestPresenceStorm(t *testing.T) {
	b := brokertest.New(t, broker.Options{Presence: rooms})
	w := brokertest.Connect(t, b, "login", "watcher")
	w.Subscribe(t, "w", "/topic/presence"+room)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 60 {
				var login []string
				if i > 1 {
					login = []string{"login", fmt.Sprint("u", (i+n)%5)}
				}
				c := brokertest.Connect(t, b, login...)
				c.Send("SUBSCRIBE", "", "id", "1", "destination", room)
				c.Send("SUBSCRIBE", "", "id", "2", "destination", room)
				if n%2 == 0 {
					c.Send("UNSUBSCRIBE", "", "id", "1")
				}
				if n%3 == 0 {
					c.Sync(t)
				}
				c.Close()
			}
		})
	}
	testkit.Wait(t, &wg)
	present := map[string]bool{}
	number := uint64(0)
	for {
		f := w.Expect(t, "MESSAGE")
		var e presenceEvent
		if err := json.Unmarshal(f.Body, &e); err != nil {
			t.Fatal(err)
		}
		if number != 0 && e.Number != number+1 {
			t.Fatalf("event %d follows %d", e.Number, number)
		}
		number = e.Number
		for _, j := range e.Joined {
			if present[j.User] {
				t.Errorf("%s joins again", j.User)
			}
			present[j.User] = true
		}
		for _, user := range e.Left {
			if !present[user] {
				t.Errorf("%s leaves without being there", user)
			}
			delete(present, user)
		}
		if len(present) == 0 && e.Users == 0 && e.Anonymous == 0 {
			break
		}
	}
	w.Close()
	brokertest.Eventually(t, "nothing is left", func() bool {
		st := b.Stats()
		return st.PresenceRooms == 0 && st.PresenceUsers == 0 && st.PresenceLeaving == 0
	})
}
