package webflow_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// W-4, W-5.
func TestW5ResultReachesTheRegisteredSessionOnly(t *testing.T) {
	b, f := start(t, webflow.Options{})
	open(t, f, "op", user("alice"))
	c, other, bob := page(t, b, "alice", "auto"), page(t, b, "alice", "auto"), page(t, b, "bob", "auto")
	c.register("ws-op")
	notify(t, f, "op", "CONFIRMED", true)
	m := want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"))[1]
	wantHeaders(t, m, "subscription", "a", "content-type", "application/json", "redelivered", "")
	want(t, other)
	want(t, bob)
}

func TestW6ResultsAreCarriedUnchanged(t *testing.T) {
	b, f := start(t, webflow.Options{})
	c := page(t, b, "alice", "auto")
	for _, r := range []string{"CONFIRMED", "CANCELED", "AUTH_FAILED", "AUTH_METHOD_FAILED", "AUTH_METHOD_CHOSEN", "AUTH_METHOD_DOWNGRADE", "CONTINUE", "FAILED", "DONE"} {
		open(t, f, r, user("alice"))
		c.register("ws-" + r)
		want(t, c, accepted("ws-"+r))
		notify(t, f, r, r, true)
		want(t, c, told("ws-"+r, r))
	}
	open(t, f, "op", user("alice"))
	for _, r := range []string{"", "confirmed", "CONFIRMED ", "YES", `"`} {
		if _, err := f.Notify(t.Context(), "op", r); err != webflow.ErrResult {
			t.Errorf("Notify(%q): %v", r, err)
		}
	}
	want(t, c)
}

func TestW6ConfiguredResults(t *testing.T) {
	b, f := start(t, webflow.Options{AuthResults: []string{`yes "<ä>"`, "not yet"}, Interim: []string{"not yet"}})
	open(t, f, "op", user("alice"))
	c := page(t, b, "alice", "auto")
	c.register("ws-op")
	notify(t, f, "op", "not yet", true)
	notify(t, f, "op", `yes "<ä>"`, true)
	want(t, c, accepted("ws-op"), told("ws-op", "not yet"), told("ws-op", `yes \"<ä>\"`))
	if _, err := f.Notify(t.Context(), "op", "CONFIRMED"); err != webflow.ErrResult {
		t.Errorf("a default that was replaced: %v", err)
	}
}

func TestW7DerivedIDs(t *testing.T) {
	const id = "40269145-d91f-4579-badd-c57fa1133239"
	got := webflow.WebSocketID(id)
	if len(got) != 128 || got != strings.ToLower(got) || !strings.HasPrefix(got, "e30fbecf539e0609") || !strings.HasSuffix(got, "2a45659f84ae") {
		t.Errorf("WebSocketID(%s) = %s", id, got)
	}
	b, f := start(t, webflow.Options{})
	if ws, err := f.Open(t.Context(), webflow.Operation{ID: id, Owner: user("alice")}); err != nil || ws != got || f.WebSocketID(id) != got {
		t.Fatalf("Open = %q, %v", ws, err)
	}
	c := page(t, b, "alice", "auto")
	c.register(strings.ToUpper(got)) // ids are compared byte for byte
	c.register(got)
	want(t, c, rejected(strings.ToUpper(got)), accepted(got))
	notify(t, f, id, "CONFIRMED", true)
}

func TestUnguessableIDs(t *testing.T) { // W+2
	key := []byte("0123456789abcdef0123456789abcdef")
	_, f := start(t, webflow.Options{HMACKey: key})
	const of = "op"
	got := f.WebSocketID(of)
	// printf op | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
	if got != "7db4ff5c8b80aa5253d60f96e4d34033c5978dfc1f4da4cb4c62630d0f64d1f1" {
		t.Errorf("derived %s", got)
	}
	key[0]++ // the Flow has its own copy
	if f.WebSocketID(of) != got {
		t.Error("the caller's key is used")
	}
	_, other := start(t, webflow.Options{HMACKey: key})
	if other.WebSocketID(of) == got {
		t.Error("the key makes no difference")
	}
}

// W+3, E-3.
func TestE3ResultBeforeRegistration(t *testing.T) {
	b, f := start(t, webflow.Options{})
	open(t, f, "op", user("alice"))
	notify(t, f, "op", "CONFIRMED", false)
	c := page(t, b, "alice", "auto")
	c.register("ws-op")
	want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"))
	notify(t, f, "op", "CONFIRMED", true) // once is enough
	want(t, c)
}

// W+3: between registration and SUBSCRIBE, and with the user's own name.
func TestResultBeforeSubscribe(t *testing.T) {
	for _, destination := range []string{subAuthorization, "/user/alice/topic/authorization"} {
		b, f := start(t, webflow.Options{})
		open(t, f, "op", user("alice"))
		c := connect(t, b, "login", "alice")
		c.subscribe("r", subRegistration)
		c.register("ws-op")
		want(t, c, accepted("ws-op"))
		notify(t, f, "op", "CONFIRMED", false)
		c.subscribe("x", "/user/queue/other/topic/authorization") // another destination
		want(t, c)
		c.subscribe("a", destination)
		want(t, c, destination+` {"webSocketId":"ws-op","authResult":"CONFIRMED"}`)
		c.subscribe("b", destination)
		want(t, c)
	}
}

// W+4.
func TestReplyBeforeSubscribe(t *testing.T) {
	b, f := start(t, webflow.Options{})
	open(t, f, "op", user("alice"))
	notify(t, f, "op", "CONFIRMED", false)
	c := connect(t, b, "login", "alice")
	c.register("ws-op")
	c.register("unknown")
	want(t, c)
	c.subscribe("r", subRegistration)
	want(t, c, accepted("ws-op"), rejected("unknown"))
	c.subscribe("a", subAuthorization)
	want(t, c, told("ws-op", "CONFIRMED"))
}

// W+5 with ack:client and client-individual, E-9.
func TestUnacknowledgedResultIsRedelivered(t *testing.T) {
	for _, mode := range []string{"client", "client-individual"} {
		t.Run(mode, func(t *testing.T) {
			b, f := start(t, webflow.Options{})
			open(t, f, "op", user("alice"))
			c := page(t, b, "alice", mode)
			c.register("ws-op")
			notify(t, f, "op", "CONFIRMED", true)
			first := want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"))[1]
			id := first.Get("message-id")
			c.Close()

			for range 3 {
				c = page(t, b, "alice", mode)
				c.register("ws-op")
				again := want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"))[1]
				wantHeaders(t, again, "message-id", id, "redelivered", "true")
				c.Close()
			}
			c = page(t, b, "alice", mode)
			c.register("ws-op")
			c.ack(want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"))[1])
			c.Close()

			c = page(t, b, "alice", mode)
			c.register("ws-op")
			want(t, c, accepted("ws-op"))
		})
	}
}

// W+5: the page that subscribes after it has registered, as the real one does.
func TestRedeliveryToALateSubscription(t *testing.T) {
	b, f := start(t, webflow.Options{})
	open(t, f, "op", user("alice"))
	c := page(t, b, "alice", "client")
	c.register("ws-op")
	notify(t, f, "op", "CONFIRMED", true)
	id := want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"))[1].Get("message-id")
	c.Close()
	c = connect(t, b, "login", "alice")
	c.subscribe("r", subRegistration)
	c.register("ws-op")
	want(t, c, accepted("ws-op"))
	c.subscribe("a", subAuthorization, "ack", "client")
	again := want(t, c, told("ws-op", "CONFIRMED"))[0]
	wantHeaders(t, again, "message-id", id, "redelivered", "true")
	// The subscription ends without an ACK or NACK: the next one gets the
	// result.
	c.unsubscribe("a")
	c.subscribe("a2", subAuthorization, "ack", "client")
	again = want(t, c, told("ws-op", "CONFIRMED"))[0]
	wantHeaders(t, again, "message-id", id, "redelivered", "true")
	c.ack(again)
	c.unsubscribe("a2")
	c.subscribe("a3", subAuthorization, "ack", "client")
	want(t, c)
}

// W+5 with ack:auto.
func TestAutoIsOfferedOncePerRegistration(t *testing.T) {
	b, f := start(t, webflow.Options{})
	open(t, f, "op", user("alice"))
	c := page(t, b, "alice", "auto")
	c.register("ws-op")
	notify(t, f, "op", "CONFIRMED", true)
	id := want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"))[1].Get("message-id")
	c.unsubscribe("a")
	c.subscribe("again", subAuthorization)
	want(t, c)
	c.register("ws-op")
	wantHeaders(t, want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"))[1], "message-id", id, "redelivered", "true")
	c.Close()
	c = page(t, b, "alice", "auto")
	c.register("ws-op")
	wantHeaders(t, want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"))[1], "message-id", id, "redelivered", "true")
}

func TestRefusedResultWaitsForARegistration(t *testing.T) {
	b, f := start(t, webflow.Options{})
	open(t, f, "op", user("alice"))
	c := page(t, b, "alice", "client")
	c.register("ws-op")
	notify(t, f, "op", "CONFIRMED", true)
	c.register("ws-op") // before it acknowledges: nothing new
	frames := want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"), accepted("ws-op"))
	c.nack(frames[1])
	want(t, c)
	c.subscribe("more", subAuthorization, "ack", "client")
	want(t, c)
	c.register("ws-op")
	want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"), told("ws-op", "CONFIRMED")) // to both subscriptions
}

func TestAckOfASupersededSessionDoesNotCount(t *testing.T) {
	b, f := start(t, webflow.Options{})
	open(t, f, "op", user("alice"))
	first := page(t, b, "alice", "client")
	first.register("ws-op")
	notify(t, f, "op", "CONFIRMED", true)
	m := want(t, first, accepted("ws-op"), told("ws-op", "CONFIRMED"))[1]
	second := connect(t, b, "login", "alice")
	second.subscribe("r", subRegistration)
	second.register("ws-op")
	want(t, second, accepted("ws-op"))
	first.ack(m)
	want(t, first, superseded("ws-op"))
	second.subscribe("a", subAuthorization, "ack", "client")
	want(t, second, told("ws-op", "CONFIRMED"))
}

func TestOneTerminalResult(t *testing.T) {
	b, f := start(t, webflow.Options{})
	open(t, f, "op", user("alice"))
	c := page(t, b, "alice", "auto")
	c.register("ws-op")
	notify(t, f, "op", "AUTH_FAILED", true) // a wrong PIN: the page continues to wait
	notify(t, f, "op", "AUTH_FAILED", true)
	notify(t, f, "op", "CONFIRMED", true)
	notify(t, f, "op", "CONFIRMED", true) // a backend that repeats its report
	for _, r := range []string{"CANCELED", "AUTH_FAILED"} {
		if _, err := f.Notify(t.Context(), "op", r); err != webflow.ErrDecided {
			t.Errorf("%s after CONFIRMED: %v", r, err)
		}
	}
	got := want(t, c, accepted("ws-op"), told("ws-op", "AUTH_FAILED"), told("ws-op", "AUTH_FAILED"), told("ws-op", "CONFIRMED"))
	ids := map[string]bool{}
	for _, m := range got {
		ids[m.Get("message-id")] = true
	}
	if len(ids) != len(got) {
		t.Errorf("message-ids are not different: %v", ids)
	}
}

func TestLatestInterimIsHeld(t *testing.T) {
	b, f := start(t, webflow.Options{MaxInterim: 2})
	open(t, f, "op", user("alice"))
	notify(t, f, "op", "AUTH_METHOD_CHOSEN", false)
	notify(t, f, "op", "AUTH_FAILED", false)
	if _, err := f.Notify(t.Context(), "op", "AUTH_FAILED"); !errors.Is(err, webflow.ErrTooOften) {
		t.Errorf("the third interim result: %v", err)
	}
	c := page(t, b, "alice", "auto")
	c.register("ws-op")
	want(t, c, accepted("ws-op"), told("ws-op", "AUTH_FAILED"))
	notify(t, f, "op", "CONFIRMED", true) // a terminal result is never too often
	want(t, c, told("ws-op", "CONFIRMED"))
}

func TestNotifyByWebSocketID(t *testing.T) {
	b, f := start(t, webflow.Options{})
	open(t, f, "op", user("alice"))
	c := page(t, b, "alice", "auto")
	c.register("ws-op")
	if ok, err := f.NotifyWebSocketID(t.Context(), "ws-op", "CONFIRMED"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"))
	if _, err := f.NotifyWebSocketID(t.Context(), "op", "CONFIRMED"); err != webflow.ErrUnknown {
		t.Errorf("by the wrong name: %v", err)
	}
	if _, err := f.Notify(t.Context(), "ws-op", "CONFIRMED"); err != webflow.ErrUnknown {
		t.Errorf("by the other wrong name: %v", err)
	}
}

func TestSeveralOperationsOfOneSession(t *testing.T) {
	b, f := start(t, webflow.Options{})
	open(t, f, "1", user("alice"))
	open(t, f, "2", user("alice"))
	c := page(t, b, "alice", "client")
	c.register("ws-1")
	c.register("ws-2")
	notify(t, f, "2", "CONFIRMED", true)
	notify(t, f, "1", "CANCELED", true)
	want(t, c, accepted("ws-1"), accepted("ws-2"), told("ws-2", "CONFIRMED"), told("ws-1", "CANCELED"))
}

func TestCancelledContext(t *testing.T) {
	_, f := start(t, webflow.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Open(ctx, webflow.Operation{ID: "op"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
	if _, err := f.Notify(ctx, "op", "DONE"); !errors.Is(err, context.Canceled) {
		t.Errorf("Notify: %v", err)
	}
}

// The program gets one callback for each result that a page gets and for each
// that it acknowledges, whichever comes first.
func TestProgramHearsOfDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		b, f := start(t, webflow.Options{Delivered: d.note("delivered"), Acknowledged: d.note("acknowledged")})
		open(t, f, "op", user("alice"))
		notify(t, f, "op", "AUTH_FAILED", false)
		synctest.Wait()
		d.wantEvents(t)
		c := page(t, b, "alice", "client-individual")
		c.register("ws-op")
		first := want(t, c, accepted("ws-op"), told("ws-op", "AUTH_FAILED"))[1]
		synctest.Wait()
		d.wantEvents(t, "delivered")
		c.Close()
		c = page(t, b, "alice", "client-individual")
		c.register("ws-op")
		again := want(t, c, accepted("ws-op"), told("ws-op", "AUTH_FAILED"))[1]
		synctest.Wait()
		d.wantEvents(t) // it was delivered before
		if first.Get("message-id") != again.Get("message-id") {
			t.Error("it is another result")
		}
		c.ack(again)
		synctest.Wait()
		if e := d.wantEvents(t, "acknowledged")[0]; e.OperationID != "op" || e.User != "alice" || e.Session != c.Session || e.Result != "AUTH_FAILED" {
			t.Errorf("%+v", e)
		}
		notify(t, f, "op", "CONFIRMED", true)
		c.ack(want(t, c, told("ws-op", "CONFIRMED"))[0])
		synctest.Wait()
		if e := d.wantEvents(t, "delivered", "acknowledged")[0]; e.Session != c.Session || e.Result != "CONFIRMED" {
			t.Errorf("%+v", e)
		}
		notify(t, f, "op", "CONFIRMED", true)
		synctest.Wait()
		d.wantEvents(t)
	})
}
