//go:build unix

package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
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

// follower is an application that follows the events of sessions.
type follower struct {
	*httptest.Server
	mu       sync.Mutex
	answer   func(request int) (status int)
	requests int
	repeated int
	texts    map[string]string // of the events, by id
	events   []followed        // as they came, each once
	faults   []string
}

type followed struct {
	ID, Event, Node, Session, User, Remote, Transport, Origin string

	UserAgent                         string `json:"user_agent"`
	Destination, Subscription, Reason string
	Code, Missing                     int
	Duration                          int64 `json:"duration_ms"`
	Received, Sent                    uint32
	Time                              time.Time
}

func newFollower(t *testing.T) *follower {
	t.Helper()
	f := &follower{texts: make(map[string]string)}
	f.set(nil)
	f.Server = httptest.NewServer(http.HandlerFunc(f.hear))
	t.Cleanup(f.Close)
	return f
}

// set sets how requests are answered: nil accepts them. What is answered with 503
// has not been heard.
func (f *follower) set(answer func(request int) int) {
	if answer == nil {
		answer = func(int) int { return http.StatusNoContent }
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func down(int) int { return http.StatusServiceUnavailable }

// env has the broker send its events.
func (f *follower) env(more ...string) []string {
	return append(more, "HOOFBEAT_EVENTS_URL="+f.URL+"/hear?key=hidden", "HOOFBEAT_EVENTS_SECRET="+webhookSecret)
}

func (f *follower) hear(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	var list []json.RawMessage
	if err != nil || r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" || json.Unmarshal(body, &list) != nil || len(list) == 0 {
		f.faults = append(f.faults, "no events: "+string(body))
	}
	at, signature, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Hoofbeat-Signature"), "t="), ",v1=")
	mac := hmac.New(sha256.New, []byte(webhookSecret))
	fmt.Fprintf(mac, "%s.%s", at, body)
	if signature != hex.EncodeToString(mac.Sum(nil)) {
		f.faults = append(f.faults, "a wrong signature")
	}
	status := f.answer(f.requests)
	f.requests++
	w.WriteHeader(status)
	if status == http.StatusServiceUnavailable {
		return
	}
	for _, text := range list {
		var e followed
		in := json.NewDecoder(bytes.NewReader(text))
		in.DisallowUnknownFields()
		if err := in.Decode(&e); err != nil || e.ID == "" {
			f.faults = append(f.faults, fmt.Sprintf("%v in %s", err, text))
		}
		if before, again := f.texts[e.ID]; again {
			f.repeated++
			if before != string(text) {
				f.faults = append(f.faults, fmt.Sprintf("%s came as %s", before, text))
			}
			continue
		}
		f.texts[e.ID] = string(text)
		f.events = append(f.events, e)
	}
}

// wait waits until the last of n events, or any event if n is 0, is called so.
func (f *follower) wait(t *testing.T, n int, last string) []followed {
	t.Helper()
	brokertest.Eventually(t, fmt.Sprintf("event %d is %s", n, last), func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.events) >= max(n, 1) && f.events[len(f.events)-1].Event == last
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.faults) > 0 {
		t.Errorf("%q", f.faults)
	}
	return f.events
}

// number is that of an event in its run.
func (e followed) number(t *testing.T) int {
	t.Helper()
	_, text, _ := strings.Cut(e.ID, "-")
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

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
	if err := first.Unsubscribe(); err != nil {
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
		case 1:
			return http.StatusInternalServerError // after it has heard
		case 3:
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
						err = sub.Unsubscribe()
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

type eventsState struct {
	Key, URL                           string
	Failing                            *time.Time
	Waiting, Bytes, Delivered, Dropped int
}

// events returns the state of the only back end that gets events.
func (s *server) events(t *testing.T) eventsState {
	t.Helper()
	var states struct{ Items []eventsState }
	if status := s.call(t, "GET", "/api/v1/events", "", &states); status != http.StatusOK || len(states.Items) != 1 {
		t.Fatalf("HTTP %d with %+v", status, states)
	}
	return states.Items[0]
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
