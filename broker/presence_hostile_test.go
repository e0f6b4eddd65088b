package broker_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// Quotes in names are twice as long in JSON. Neither the events
// nor the list of a room full of such names fills an outbox.
func TestPresenceOfNamesThatGrow(t *testing.T) {
	const people = 150
	b := brokertest.New(t, broker.Options{Presence: rooms, Limits: broker.Limits{Outbox: 64 << 10, Frame: 16 << 10}})
	w := brokertest.Connect(t, b, "login", "watcher")
	w.Subscribe(t, "w", "/topic/presence"+room)
	w.Subscribe(t, "r", room)
	for i := range people {
		c := brokertest.Connect(t, b, "login", fmt.Sprint(i, strings.Repeat("\"", 250)))
		c.Subscribe(t, "r", room)
	}
	joined := 0
	for joined < people+1 {
		f := w.Expect(t, "MESSAGE")
		var e presenceEvent
		if err := json.Unmarshal(f.Body, &e); err != nil {
			t.Fatal(err)
		}
		joined += len(e.Joined)
		if len(f.Body) > 64<<10/4+8<<10 {
			t.Fatalf("an event has %d bytes", len(f.Body))
		}
	}
	listed, after := 0, []string(nil)
	for {
		list := askPresence(t, w, after...)
		listed += len(list.Users)
		if list.Next == "" {
			break
		}
		after = []string{"after", list.Next}
	}
	if listed != people+1 {
		t.Fatalf("%d users are listed, want %d", listed, people+1)
	}
}
