package sockjs_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/sockjs"
)

// Data of a broken response may be lost, so the session ends.
func TestInterrupted(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		for _, path := range []string{"/000/a/xhr_streaming", "/000/b/xhr"} {
			id := strings.Split(path, "/")[2]
			w.connected(id)
			cut := w.start("POST", path)
			synctest.Wait()
			cut()
			synctest.Wait()
			// After a DISCONNECT in transit the end is still clean.
			if id == "b" {
				w.send(id, `["DISCONNECT\n\n\u0000"]`)
				if e := w.ended(); e["disconnect"] != 1 {
					t.Errorf("ended %v", e)
				}
				continue
			}
			w.poll(id, `c[1002,"Connection interrupted"]`)
			if e := w.ended(); e["connection-lost"] != 1 {
				t.Errorf("ended %v", e)
			}
		}
	})
}

func TestExpiry(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		w.connected("a")
		pass(4900 * time.Millisecond)
		w.send("a", `["UNSUBSCRIBE\nid:x\nreceipt:1\n\n\u0000"]`)
		w.poll("a", `a["RECEIPT\nreceipt-id:1\n\n\u0000"]`)
		pass(4900 * time.Millisecond)
		w.send("a", `["\n"]`) // not a receiver
		if e := w.ended(); len(e) != 0 {
			t.Fatalf("ended %v", e)
		}
		pass(200 * time.Millisecond)
		if e := w.ended(); e["connection-lost"] != 1 {
			t.Errorf("ended %v", e)
		}
		if n := w.b.Stats().Sockets; n != 0 {
			t.Errorf("%d sockets are left", n)
		}
	})
}

func TestExpiryEndsASendNobodyFetches(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		w.subscribed("a")
		w.publish([]byte("for nobody"))
		pass(5 * time.Second)
		if e := w.ended(); e["connection-lost"] != 1 || w.b.Stats().Sockets != 0 {
			t.Errorf("ended %v", e)
		}
	})
}

// A client that does not fetch its messages is disconnected. If it returns in
// time it gets the reason, in STOMP and in SockJS. Otherwise the session is
// gone once DisconnectDelay is over.
func TestSlowConsumer(t *testing.T) {
	o := broker.Options{Limits: broker.Limits{Outbox: 8192, Frame: 2048}}
	flooded := func(t *testing.T, w *world) {
		w.subscribed("a")
		for range 20 {
			w.publish([]byte(strings.Repeat("x", 1000)))
			synctest.Wait()
		}
		if e := w.ended(); e["slow-consumer"] != 1 {
			t.Fatalf("ended %v", e)
		}
	}
	over := func(t *testing.T, w *world) {
		if e := w.ended(); e["slow-consumer"] != 1 || len(e) != 1 || w.b.Stats().Sockets != 0 {
			t.Errorf("ended %v, %d sockets are left", e, w.b.Stats().Sockets)
		}
	}
	t.Run("returns", func(t *testing.T) {
		bubble(t, o, sockjs.Options{}, func(t *testing.T, w *world) {
			flooded(t, w)
			if f := w.frame("a"); !strings.HasPrefix(f, `a["MESSAGE\n`) { // was in transit already
				t.Errorf("got %q", f)
			}
			const reason = `more than 8192 bytes are waiting to be read by you (limits.outbox)`
			if f := w.frame("a"); !strings.HasPrefix(f, `a["ERROR\nmessage:`+reason+`\n`) {
				t.Errorf("got %q", f)
			}
			w.poll("a", `c[4500,"slow-consumer"]`)
			over(t, w)
		})
	})
	t.Run("stays away", func(t *testing.T) {
		bubble(t, o, sockjs.Options{}, func(t *testing.T, w *world) {
			flooded(t, w)
			pass(5 * time.Second)
			over(t, w)
		})
	})
}

func TestDrain(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		w.connected("a")
		got := make(chan string)
		go func() { got <- w.frame("a") }()
		synctest.Wait()
		if err := w.b.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f := testkit.Receive(t, got); f != `c[1012,"draining"]` {
			t.Errorf("got %q", f)
		}
		w.want("POST", "/000/b/xhr", "", 503, "{\"error\":\"draining\"}\n")
	})
}

// Whichever request was aborted, in whatever state, all later ones get the
// protocol's answer for it.
func TestAbortedRequests(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		for i, kind := range []string{"xhr_streaming", "xhr", "eventsource"} {
			for _, connected := range []bool{true, false} {
				id := fmt.Sprintf("%d%v", i, connected)
				if connected {
					w.subscribed(id)
				} else {
					w.poll(id, "o")
				}
				method := "POST"
				if kind == "eventsource" {
					method = "GET"
				}
				cut := w.start(method, "/000/"+id+"/"+kind)
				synctest.Wait()
				cut()
				synctest.Wait()
				for range 2 {
					w.poll(id, `c[1002,"Connection interrupted"]`)
				}
			}
		}
	})
}

// Shutdown waits for clients that have yet to hear why their session has ended,
// and for nobody else.
func TestShutdown(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		w.connected("gone")
		cut := w.start("POST", "/000/gone/xhr")
		w.connected("streams")
		stream := w.open("POST", "/000/streams/xhr_streaming", "")
		stream.line()
		synctest.Wait()
		cut()
		if err := w.b.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := stream.line(); got != `c[1012,"draining"]` {
			t.Errorf("got %q", got)
		}
		start := time.Now()
		if err := w.h.Shutdown(t.Context()); err != nil || time.Since(start) > 0 { // nobody is left
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		w.connected("polls")
		w.connected("silent")
		if err := w.b.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		done := make(chan error, 1)
		go func() { done <- w.h.Shutdown(t.Context()) }()
		pass(2 * time.Second)
		w.poll("polls", `c[1012,"draining"]`)
		early, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.h.Shutdown(early); err != context.DeadlineExceeded {
			t.Errorf("with a client that has not come: %v", err)
		}
		took := func() time.Duration { return time.Since(start).Round(100 * time.Millisecond) } // Drain returns a little later
		if err := testkit.Receive(t, done); err != nil || took() != 5*time.Second {
			t.Errorf("%v after %v", err, took())
		}
	})
}
