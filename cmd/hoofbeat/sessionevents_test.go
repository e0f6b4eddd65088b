//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// A back end hears what a session did, and why its subscriptions and the session
// ended.
func TestTheBackendHearsOfSessions(t *testing.T) {
	f := newFollower(t)
	const text = "node: one\nevents: {destinations: [/topic/room/**]}\n"
	conf := write(t, "hoofbeat.yaml", text)
	s := serve(t, f.env(), "-c", conf)
	conn := connectAs(t, "ann", s.url, client.Options{
		Login: "ann", Passcode: "wonderland", Header: http.Header{"Origin": {"http://localhost:3000"}, "User-Agent": {"a browser"}, "Cookie": {"wonderland"}},
	})
	subscribe := func(id, destination string) *stomp.Subscription {
		t.Helper()
		sub, err := conn.Subscribe(destination, stomp.AckAuto, stomp.SubscribeOpt.Id(id))
		if err != nil {
			t.Fatal(err)
		}
		return sub
	}
	first := subscribe("a", "/topic/room/7")
	subscribe("b", "/topic/chat")
	subscribe("c", "/topic/room/8")
	if err := unsubscribe(t, conn, first); err != nil {
		t.Fatal(err)
	}
	f.wait(t, 4, "unsubscribed")
	if err := os.WriteFile(conf, []byte(text+"rules: [{deny: [subscribe], destination: /topic/room/8}, {allow: [subscribe], destination: /topic/**}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Signal(t, syscall.SIGHUP)
	f.wait(t, 5, "unsubscribed")
	subscribe("d", "/topic/**")
	if err := conn.Disconnect(); err != nil {
		t.Fatal(err)
	}
	events := f.wait(t, 8, "disconnected")
	if len(events) != 8 {
		t.Fatalf("%d events", len(events))
	}
	for i, want := range []followed{
		{Event: "connected", Origin: "http://localhost:3000", UserAgent: "a browser"},
		{Event: "subscribed", Destination: "/topic/room/7", Subscription: "a"},
		{Event: "subscribed", Destination: "/topic/room/8", Subscription: "c"},
		{Event: "unsubscribed", Destination: "/topic/room/7", Subscription: "a", Reason: "unsubscribe"},
		{Event: "unsubscribed", Destination: "/topic/room/8", Subscription: "c", Reason: "denied"},
		{Event: "subscribed", Destination: "/topic/**", Subscription: "d"},
		{Event: "unsubscribed", Destination: "/topic/**", Subscription: "d", Reason: "session-ended"},
		{Event: "disconnected", Reason: "disconnect", Code: 1000},
	} {
		got := events[i]
		host, _, err := net.SplitHostPort(got.Remote)
		if got.number(t) != i+1 || host != "127.0.0.1" || err != nil || time.Since(got.Time).Abs() > time.Hour || got.Session != conn.Header().Get("session") {
			t.Errorf("event %d: %+v", i, got)
		}
		if last := i == 7; (got.Duration > 0 && got.Received >= 7 && got.Sent >= 3) != last {
			t.Errorf("event %d: %d ms, %d received, %d sent", i, got.Duration, got.Received, got.Sent)
		}
		got.ID, got.Session, got.Remote, got.Time, got.Duration, got.Received, got.Sent = "", "", "", time.Time{}, 0, 0, 0
		want.User, want.Node, want.Transport = "ann", "one", "websocket"
		if got != want {
			t.Errorf("event %d: %+v, want %+v", i, got, want)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if all := fmt.Sprint(f.texts); strings.Contains(all, "wonderland") || strings.Contains(s.Stderr(), webhookSecret) || strings.Contains(s.Stderr(), "hidden") {
		t.Errorf("a secret is in the events or in the log: %s", all)
	}
}

// unsubscribe waits until the broker has ended a subscription.
func unsubscribe(t *testing.T, conn *client.Conn, sub *stomp.Subscription) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := conn.UnsubscribeWithReceipt(sub)
	if err != nil {
		return err
	}
	return r.Wait(ctx)
}

// history checks the events of all sessions and returns the number of each.
func history(t *testing.T, events []followed) map[string]int {
	t.Helper()
	open, over := make(map[string]map[string]bool), make(map[string]bool)
	count := make(map[string]int)
	for _, e := range events {
		count[e.Event]++
		subs, ok := open[e.Session]
		id := e.Subscription
		switch e.Event {
		case "connected":
			ok = !ok && !over[e.Session]
			open[e.Session] = make(map[string]bool)
		case "subscribed":
			ok = ok && !subs[id]
			if ok {
				subs[id] = true
			}
		case "unsubscribed":
			ok = ok && subs[id]
			delete(subs, id)
		case "disconnected":
			ok = ok && len(subs) == 0
			delete(open, e.Session)
			over[e.Session] = true
		}
		if !ok || e.Missing != 0 {
			t.Errorf("out of order: %+v", e)
		}
	}
	if len(open) > 0 {
		t.Errorf("%d sessions have no end", len(open))
	}
	return count
}

// Whatever sessions do, and however often the back end fails, it hears everything
// of each session in order, at least once and with the same ids, until the broker
// has stopped.
func TestTheBackendHearsWholeLives(t *testing.T) {
	f := newFollower(t)
	f.set(func(n int) int {
		switch n % 5 {
		case 0: // also the first
			return http.StatusInternalServerError // after it has heard
		case 2:
			return http.StatusServiceUnavailable
		}
		return http.StatusNoContent
	})
	s := serve(t, f.env())
	const clients, rounds = 6, 5
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			random := rand.New(rand.NewPCG(2, uint64(i)))
			for range rounds {
				conn, err := dial(t, []string{s.url, s.tcp}[random.IntN(2)], client.Options{Login: fmt.Sprint("user", i)})
				if err != nil {
					t.Error(err)
					return
				}
				for n := range random.IntN(4) {
					sub, err := conn.Subscribe(fmt.Sprint("/topic/", n), stomp.AckAuto, stomp.SubscribeOpt.Id(fmt.Sprint(n)))
					if err == nil && random.IntN(2) == 0 {
						err = unsubscribe(t, conn, sub)
					}
					if err != nil {
						t.Error(err)
					}
				}
				switch random.IntN(3) {
				case 0:
					conn.Abort()
				case 1:
					if err := conn.Disconnect(); err != nil {
						t.Error(err)
					}
				} // or it stays until the broker stops
			}
		})
	}
	testkit.Wait(t, &all)
	brokertest.Eventually(t, "an event is repeated", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.repeated > 0
	})
	f.set(nil)
	s.Signal(t, syscall.SIGTERM)
	s.Exit(t, 0)
	events := f.wait(t, 0, "disconnected")
	count := history(t, events)
	if count["connected"] != clients*rounds || count["disconnected"] != clients*rounds || count["subscribed"] == 0 || count["subscribed"] != count["unsubscribed"] {
		t.Errorf("there were %v", count)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.requests > len(events) {
		t.Errorf("%d events took %d requests", len(events), f.requests)
	}
	if n := len(s.Log("session events were not accepted before the shutdown and are lost")); n != 0 {
		t.Error("events are lost")
	}
}

// While a back end is away, events wait within events.bytes. What was dropped is
// told by the next event and by the log, and no session waits.
func TestTheBackendHearsWhatIsMissing(t *testing.T) {
	f := newFollower(t)
	f.set(down)
	s := serve(t, f.env("HOOFBEAT_EVENTS_BYTES=64KiB"))
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.tcp, "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute)) // a failure shows below
	const n = 500
	var frames strings.Builder
	frames.WriteString("CONNECT\naccept-version:1.2\nhost:a\nlogin:ann\n\n\x00")
	for i := range n {
		fmt.Fprintf(&frames, "SUBSCRIBE\nid:%d\ndestination:/topic/a\n\n\x00UNSUBSCRIBE\nid:%d\n\n\x00", i, i)
	}
	frames.WriteString("DISCONNECT\nreceipt:bye\n\n\x00")
	if _, err := io.WriteString(conn, frames.String()); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || !strings.Contains(string(answer), "receipt-id:bye") {
		t.Fatalf("answered %q, %v", answer, err)
	}
	s.Logged(t, "session events are not accepted; the broker keeps trying", 1)
	if record := s.Logged(t, "too many session events are waiting: dropping the oldest", 1); record["key"] != "events.bytes" || record["limit"] != 65536.0 {
		t.Errorf("logged %v", record)
	}
	var st eventsState
	brokertest.Eventually(t, "all events wait or are dropped", func() bool {
		st = s.events(t)
		return st.Waiting+st.Dropped == 2*n+2
	})
	if st.Key != "events" || st.URL != f.URL+"/hear" || st.Failing == nil || st.Bytes > 64<<10 || st.Delivered != 0 {
		t.Errorf("the state is %+v", st)
	}
	f.set(nil)
	events := f.wait(t, 0, "disconnected")
	next, missing := 1, 0
	for _, e := range events {
		next += e.Missing
		missing += e.Missing
		if e.number(t) != next {
			t.Fatalf("%+v, want number %d", e, next)
		}
		next++
	}
	if want := 2*n + 2; next != want+1 || missing < n || missing > want-100 {
		t.Errorf("%d of %d events are missing, the last has number %d", missing, want, next-1)
	}
	if record := s.Logged(t, "session events are accepted again", 1); record["dropped"] != float64(missing) {
		t.Errorf("logged %v, want %d dropped", record, missing)
	}
}

// A back end that is away does not keep the broker from stopping, and the log says
// what is lost.
func TestTheBackendIsAwayAtTheEnd(t *testing.T) {
	f := newFollower(t)
	f.set(down)
	s := serve(t, f.env("HOOFBEAT_EVENTS_TYPES=connected,disconnected"))
	conn := connectAs(t, "ann", s.url, client.Options{Login: "ann"})
	if _, err := conn.Subscribe("/topic/a", stomp.AckAuto); err != nil {
		t.Fatal(err)
	}
	s.Logged(t, "session events are not accepted; the broker keeps trying", 1)
	s.Signal(t, syscall.SIGTERM)
	s.Exit(t, 0)
	if record := s.Logged(t, "session events were not accepted before the shutdown and are lost", 1); record["events"] != 2.0 {
		t.Errorf("logged %v", record)
	}
}
