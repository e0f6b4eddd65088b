package webflow_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// A broker dies, and with it the session that waits. The next one, on the same
// Store, reports the loss and, after the grace, that nobody has come back. A
// page that does come back takes its operation over and gets the result.
func TestSessionEndedWithItsBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := webflow.NewMemory()
		b, f := start(t, webflow.Options{Store: store})
		c := page(t, b, "alice", "client")
		for _, id := range []string{"stays", "returns", "decided"} {
			open(t, f, id, user("alice"))
			c.register("ws-" + id)
			want(t, c, accepted("ws-"+id))
		}
		open(t, f, "idle", user("alice"))
		notify(t, f, "decided", "CONFIRMED", true)
		m := want(t, c, told("ws-decided", "CONFIRMED"))[0]
		_ = f.Close() // as if it were killed: nothing is written

		var d diary
		asked := 0
		b, f = start(t, d.in(webflow.Options{Store: store, Ended: func(session string) bool {
			asked++
			return session == c.Session
		}}))
		synctest.Wait()
		d.wantEvents(t, "lost", "lost", "lost")
		if asked != 3 {
			t.Errorf("asked about %d sessions", asked)
		}
		for _, id := range []string{"stays", "returns", "decided"} {
			if i, err := f.Lookup(t.Context(), id); err != nil || i.Registered {
				t.Errorf("%s: %+v, %v", id, i, err)
			}
		}
		again := page(t, b, "alice", "client")
		again.register("ws-returns")
		again.register("ws-decided")
		got := want(t, again, accepted("ws-returns"), accepted("ws-decided"), told("ws-decided", "CONFIRMED"))[2]
		wantHeaders(t, got, "redelivered", "true", "message-id", m.Get("message-id"))
		notify(t, f, "returns", "CONFIRMED", true)
		want(t, again, told("ws-returns", "CONFIRMED"))
		synctest.Wait()
		d.wantEvents(t, "registered", "registered")
		later(time.Minute)
		d.wantEvents(t, "abandoned")
	})
}

// While the Store fails, the loss is told and is written later.
func TestSessionEndedAndTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFaulty()
		b, f := start(t, webflow.Options{Store: s})
		open(t, f, "op", user("alice"))
		c := page(t, b, "alice", "client")
		c.register("ws-op")
		want(t, c, accepted("ws-op"))
		_ = f.Close()
		s.set(func(_ context.Context, method string, _ *webflow.Record) error {
			if method == "Update" {
				return errDisk
			}
			return nil
		}, nil)
		var d diary
		_, f = start(t, d.in(webflow.Options{Store: s, Grace: -1, Ended: func(string) bool { return true }}))
		synctest.Wait()
		d.wantEvents(t, "lost")
		s.set(nil, nil)
		later(2 * time.Second)
		if i, err := f.Lookup(t.Context(), "op"); err != nil || i.Registered {
			t.Errorf("%+v, %v", i, err)
		}
	})
}
