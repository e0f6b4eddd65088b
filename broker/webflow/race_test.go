package webflow_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// Whatever the timing of a result, a registration and a SUBSCRIBE, the page
// gets the reply first and the result once.
func TestResultMeetsRegistration(t *testing.T) {
	b, f := start(t, webflow.Options{})
	for i := range 300 {
		id := fmt.Sprint(i)
		open(t, f, id, user("alice"))
		c := connect(t, b, "login", "alice")
		var reporting sync.WaitGroup
		reporting.Go(func() {
			if _, err := f.Notify(context.Background(), id, "CONFIRMED"); err != nil {
				t.Error(err)
			}
		})
		c.Send("SUBSCRIBE", "", "id", "r", "destination", subRegistration)
		if i%2 == 0 {
			c.Send("SUBSCRIBE", "", "id", "a", "destination", subAuthorization)
		}
		c.Send("SEND", `{"webSocketId":"ws-`+id+`"}`, "destination", "/app/registration")
		if i%2 == 1 {
			c.Send("SUBSCRIBE", "", "id", "a", "destination", subAuthorization)
		}
		c.seen = c.Sync(t)
		testkit.Wait(t, &reporting)
		want(t, c, accepted("ws-"+id), told("ws-"+id, "CONFIRMED"))
		c.Close()
	}
}

// Two sessions of the owner keep taking the registration from each other while
// results come. In the end one session has it and the last result, and the
// other got the notice.
func TestSessionsMeet(t *testing.T) {
	b, f := start(t, webflow.Options{})
	for i := range 100 {
		id := fmt.Sprint(i)
		open(t, f, id, user("alice"))
		pages := []*client{page(t, b, "alice", "client"), page(t, b, "alice", "client")}
		var all sync.WaitGroup
		for _, c := range pages {
			all.Go(func() {
				for range 5 {
					c.Send("SEND", `{"webSocketId":"ws-`+id+`"}`, "destination", "/app/registration")
				}
			})
		}
		all.Go(func() {
			for _, r := range []string{"AUTH_FAILED", "AUTH_METHOD_CHOSEN", "CONFIRMED"} {
				if _, err := f.Notify(context.Background(), id, r); err != nil {
					t.Error(err)
				}
			}
		})
		testkit.Wait(t, &all)
		waiting := 0
		for _, c := range pages {
			c.Sync(t) // it has received everything
		}
		for _, c := range pages {
			c.register("ws-" + id) // and gets it now, unless it already has it unacknowledged
			var texts []string
			for _, m := range append(c.seen, c.Sync(t)...) {
				texts = append(texts, m.Get("destination")+" "+string(m.Body))
			}
			c.seen = nil
			if slices.Contains(texts, told("ws-"+id, "CONFIRMED")) {
				waiting++
			}
		}
		if waiting == 0 {
			t.Fatalf("round %d: nobody was told", i)
		}
		want(t, pages[0], superseded("ws-"+id))
		if s := f.Stats(); s.Registered != 1 {
			t.Fatalf("%+v", s)
		}
		for _, c := range pages {
			c.Close()
		}
		if s := f.Stats(); s.Registered != 0 || s.Sessions != 0 {
			t.Fatalf("%+v", s)
		}
	}
}

// Everything at once, for the race detector and for the final state.
func TestEverythingAtOnce(t *testing.T) {
	var d diary
	b, f := start(t, d.in(webflow.Options{Registration: webflow.Open, MaxOperations: 8, Grace: -1, PollInterval: -1}))
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 150 {
				id := fmt.Sprint((w + i) % 10)
				switch (w + i/3) % 3 {
				case 0:
					_, _ = f.Open(context.Background(), webflow.Operation{ID: id, WebSocketID: "ws-" + id, Owner: user("alice")})
					_, _ = f.Notify(context.Background(), id, []string{"AUTH_FAILED", "CONFIRMED"}[i%2])
				case 1:
					_, _ = f.Result(t.Context(), "ws-"+id, webflow.Caller{Principal: &auth.Principal{Name: "alice"}})
					_, _ = f.NotifyWebSocketID(context.Background(), "ws-"+id, "AUTH_METHOD_CHOSEN")
				default:
					c := brokertest.Connect(t, b, "login", "alice")
					for _, s := range []string{subAuthorization, subRegistration} {
						c.Send("SEND", `{"webSocketId":"ws-`+id+`"}`, "destination", "/app/registration")
						c.Send("SUBSCRIBE", "", "id", s, "destination", s, "ack", "client")
					}
					for _, m := range c.Sync(t) {
						if a := m.Get("ack"); a != "" {
							c.Send([]string{"ACK", "NACK"}[i%2], "", "id", a)
						}
					}
					c.Close()
				}
			}
		})
	}
	testkit.Wait(t, &all)
	if s := f.Stats(); s.Registered != 0 || s.Sessions != 0 || s.Operations > 8 {
		t.Errorf("%+v", s)
	}
	_ = f.Close()
	names, _ := d.take()
	lost, registered := 0, 0
	for _, n := range names {
		switch n {
		case "lost":
			lost++
		case "registered":
			registered++
		}
	}
	if registered == 0 || lost > registered {
		t.Errorf("%d registrations, %d lost", registered, lost)
	}
}
