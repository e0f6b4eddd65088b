package webflow_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// later lets d pass and everything settle.
func later(d time.Duration) {
	time.Sleep(d) // of the bubble's clock
	synctest.Wait()
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		b, f := start(t, d.in(webflow.Options{}))
		open(t, f, "op", user("alice"))
		if _, err := f.Open(t.Context(), webflow.Operation{ID: "short", WebSocketID: "ws-short", Owner: user("alice"), TTL: time.Minute}); err != nil {
			t.Fatal(err)
		}
		c := page(t, b, "alice", "auto")
		c.register("ws-op")
		later(time.Minute)
		c.register("ws-short")
		later(4*time.Minute - time.Millisecond)
		notify(t, f, "op", "AUTH_FAILED", true) // an interim result
		want(t, c, accepted("ws-op"), rejected("ws-short"), told("ws-op", "AUTH_FAILED"))
		later(time.Millisecond)
		c.register("ws-op")
		want(t, c, rejected("ws-op"))
		for _, id := range []string{"op", "short"} {
			if _, err := f.Notify(t.Context(), id, "CONFIRMED"); err != webflow.ErrUnknown {
				t.Errorf("Notify(%s) after the end: %v", id, err)
			}
		}
		events := d.wantEvents(t, "registered", "expired", "expired")
		if e := events[1]; e.OperationID != "short" || e.Session != "" {
			t.Errorf("%+v", e)
		}
		if e := events[2]; e.OperationID != "op" || e.Session != c.Session || e.User != "alice" || e.Result != "AUTH_FAILED" {
			t.Errorf("%+v", e)
		}
		if s := f.Stats(); s != (webflow.Stats{}) {
			t.Errorf("something is left: %+v", s)
		}
	})
}

func TestTerminalResultIsHeldForTheTTL(t *testing.T) { // W+3
	synctest.Test(t, func(t *testing.T) {
		var d diary
		b, f := start(t, d.in(webflow.Options{}))
		open(t, f, "op", user("alice"))
		later(5*time.Minute - time.Second)
		notify(t, f, "op", "CONFIRMED", false)
		later(5*time.Minute - time.Second)
		c := page(t, b, "alice", "auto")
		c.register("ws-op")
		want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"))
		later(time.Second)
		c.register("ws-op")
		want(t, c, rejected("ws-op"))
		d.wantEvents(t, "registered") // it has a result, so it has not expired
	})
}

func TestOpenAgainPutsOffTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, f := start(t, webflow.Options{})
		open(t, f, "op", user("alice"))
		later(3 * time.Minute)
		open(t, f, "op", user("alice"))
		if _, err := f.Open(t.Context(), webflow.Operation{ID: "op", WebSocketID: "ws-op", Owner: user("alice"), TTL: time.Second}); err != nil {
			t.Fatal(err) // but never earlier
		}
		later(3 * time.Minute)
		notify(t, f, "op", "AUTH_FAILED", false)
		later(2 * time.Minute)
		if _, err := f.Notify(t.Context(), "op", "DONE"); err != webflow.ErrUnknown {
			t.Error(err)
		}
	})
}

func TestExpiredResult(t *testing.T) { // W+10
	synctest.Test(t, func(t *testing.T) {
		var d diary
		b, f := start(t, d.in(webflow.Options{ExpiredResult: "CANCELED"}))
		open(t, f, "op", user("alice"))
		open(t, f, "late", user("alice"))
		c := page(t, b, "alice", "auto")
		c.register("ws-op")
		later(5 * time.Minute)
		want(t, c, accepted("ws-op"), told("ws-op", "CANCELED"))
		d.wantEvents(t, "registered", "expired", "expired")
		if _, err := f.Notify(t.Context(), "op", "CONFIRMED"); err != webflow.ErrDecided {
			t.Errorf("after the end: %v", err)
		}
		c.register("ws-late")
		want(t, c, accepted("ws-late"), told("ws-late", "CANCELED"))
		later(5 * time.Minute)
		d.wantEvents(t, "registered")
		if s := f.Stats(); s.Operations != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestGrace(t *testing.T) { // W+7, E-9
	synctest.Test(t, func(t *testing.T) {
		var d diary
		b, f := start(t, d.in(webflow.Options{}))
		open(t, f, "op", user("alice"))
		c := page(t, b, "alice", "auto")
		c.register("ws-op")
		c.Close()
		later(30*time.Second - time.Millisecond)
		lost := d.wantEvents(t, "registered", "lost")[1]
		c2 := page(t, b, "alice", "auto")
		c2.register("ws-op")
		later(time.Minute)
		d.wantEvents(t, "registered")
		c2.Close()
		later(30 * time.Second)
		events := d.wantEvents(t, "lost", "abandoned")
		if lost.Session != c.Session || events[0] != events[1] || events[1].Session != c2.Session || events[1].OperationID != "op" {
			t.Errorf("%+v\n%+v", lost, events)
		}
		// Nothing was cancelled: the owner can still come.
		c3 := page(t, b, "alice", "auto")
		c3.register("ws-op")
		notify(t, f, "op", "CONFIRMED", true)
		want(t, c3, accepted("ws-op"), told("ws-op", "CONFIRMED"))
		c3.Close()
		later(time.Minute)
		events = d.wantEvents(t, "registered", "lost") // it has a result: there is nothing to abandon
		if events[1].Result != "CONFIRMED" {
			t.Errorf("%+v", events[1])
		}
	})
}

func TestResultEndsTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		b, f := start(t, d.in(webflow.Options{}))
		open(t, f, "op", user("alice"))
		c := page(t, b, "alice", "auto")
		c.register("ws-op")
		c.Close()
		notify(t, f, "op", "AUTH_FAILED", false)
		notify(t, f, "op", "CONFIRMED", false)
		later(time.Minute)
		d.wantEvents(t, "registered", "lost")
	})
}

func TestNoGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		b, f := start(t, d.in(webflow.Options{Grace: -1}))
		open(t, f, "op", user("alice"))
		c := page(t, b, "alice", "auto")
		c.register("ws-op")
		c.Close()
		synctest.Wait()
		d.wantEvents(t, "registered", "lost", "abandoned")
	})
}

func TestOpenModeForgetsWhatIsAbandoned(t *testing.T) {
	for _, grace := range []time.Duration{-1, 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			b, f := start(t, webflow.Options{Registration: webflow.Open, Grace: grace})
			c := stranger(t, b)
			c.register("x")
			c.Close()
			later(30 * time.Second)
			if s := f.Stats(); s != (webflow.Stats{}) {
				t.Errorf("grace %v: %+v", grace, s)
			}
		})
	}
}

// socket is a Transport whose client ends with a chosen close code.
type socket struct {
	in     chan []byte
	closed chan struct{}
	once   sync.Once
	end    error
}

func (s *socket) Receive() ([]byte, error) {
	select {
	case p, ok := <-s.in:
		if !ok {
			return nil, s.end
		}
		return p, nil
	case <-s.closed:
		return nil, io.EOF
	}
}
func (s *socket) Send([][]byte) error { return nil }
func (s *socket) Close(int, string) error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func TestW12CloseCodes(t *testing.T) {
	closing := func(code int) func(*broker.Broker, string, *socket) {
		return func(_ *broker.Broker, _ string, s *socket) {
			s.end = &broker.CloseError{Code: code}
			close(s.in)
		}
	}
	cases := []struct {
		name   string
		end    func(b *broker.Broker, session string, s *socket)
		code   int
		clean  bool
		reason broker.Reason
	}{
		{"normal", closing(1000), 1000, true, broker.ReasonDisconnect},
		{"reload", closing(1001), 1001, true, broker.ReasonDisconnect},
		{"no code", closing(1005), 1005, true, broker.ReasonDisconnect},
		{"the zero code", closing(0), 1005, true, broker.ReasonDisconnect},
		{"a code that never travels", closing(1006), 1006, false, broker.ReasonConnectionLost},
		{"own code", closing(4000), 4000, true, broker.ReasonDisconnect},
		{"DISCONNECT", func(_ *broker.Broker, _ string, s *socket) { s.in <- []byte("DISCONNECT\n\n\x00") }, 1000, true, broker.ReasonDisconnect},
		{"without a word", func(_ *broker.Broker, _ string, s *socket) { s.end = io.EOF; close(s.in) }, 1006, false, broker.ReasonConnectionLost},
		{"kicked", func(b *broker.Broker, session string, _ *socket) { _ = b.Disconnect(session, "go") }, 1006, false, broker.ReasonKicked},
		{"protocol error", func(_ *broker.Broker, _ string, s *socket) { s.in <- []byte("NONSENSE\n\n\x00") }, 1006, false, broker.ReasonProtocolError},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var d diary
				b, f := start(t, d.in(webflow.Options{}))
				open(t, f, "op", user("alice"))
				s := &socket{in: make(chan []byte, 8), closed: make(chan struct{})}
				var running sync.WaitGroup
				running.Go(func() { _ = b.Serve(context.Background(), s, broker.Admission{}) })
				s.in <- []byte("CONNECT\naccept-version:1.2\nheart-beat:0,0\nlogin:alice\n\n\x00")
				s.in <- []byte("SEND\ndestination:/app/registration\n\n{\"webSocketId\":\"ws-op\"}\x00")
				synctest.Wait()
				session := d.wantEvents(t, "registered")[0].Session
				tc.end(b, session, s)
				running.Wait()
				synctest.Wait()
				e := d.wantEvents(t, "lost")[0]
				wanted := webflow.Event{OperationID: "op", WebSocketID: "ws-op", Session: session, User: "alice", Reason: tc.reason, Code: tc.code, Clean: tc.clean}
				if e != wanted {
					t.Errorf("got  %+v\nwant %+v", e, wanted)
				}
				// The broker has cancelled nothing.
				notify(t, f, "op", "CONFIRMED", false)
			})
		})
	}
}

// Callbacks run in order, one at a time. A panic in one does not stop the rest.
func TestCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		var f *webflow.Flow
		var order []string
		active := 0
		o := webflow.Options{Logger: logger(&log), Registered: func(e webflow.Event) {
			if active++; active != 1 {
				t.Error("two callbacks at a time")
			}
			time.Sleep(time.Second)
			order = append(order, e.OperationID)
			active--
			// A callback may use the Flow.
			if _, err := f.Notify(context.Background(), e.OperationID, "DONE"); err != nil {
				t.Error(err)
			}
			if e.OperationID == "2" {
				panic("on purpose")
			}
		}}
		b, flow := start(t, o)
		f = flow
		c := page(t, b, "alice", "auto")
		var messages []string
		for i := range 5 {
			id := fmt.Sprint(i)
			open(t, f, id, user("alice"))
			c.register("ws-" + id)
			messages = append(messages, accepted("ws-"+id))
		}
		want(t, c, messages...) // the page did not wait for the callbacks
		later(10 * time.Second)
		if got := strings.Join(order, ""); got != "01234" {
			t.Errorf("called in the order %s", got)
		}
		if !strings.Contains(log.String(), "on purpose") {
			t.Errorf("the panic is not in the log: %s", log.String())
		}
	})
}

// Callbacks slower than the clients make the clients wait, so that memory does
// not grow. Close releases them.
func TestSlowCallbacksSlowTheirClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		called := 0
		b, f := start(t, webflow.Options{MaxPerSession: -1, Registered: func(webflow.Event) { <-release; called++ }})
		const all = 5000
		for i := range all {
			open(t, f, fmt.Sprint(i), user("alice"))
		}
		c := connect(t, b, "login", "alice")
		go func() {
			for i := range all {
				c.Send("SEND", fmt.Sprintf(`{"webSocketId":"ws-%d"}`, i), "destination", "/app/registration")
			}
		}()
		synctest.Wait()
		if s := f.Stats(); s.Registered < 1024 || s.Registered > 2*1024+2 {
			t.Errorf("%d registrations while their callbacks wait", s.Registered)
		}
		close(release)
		synctest.Wait()
		if s := f.Stats(); called != all || s.Registered != all {
			t.Errorf("%d callbacks, %+v, want %d", called, s, all)
		}
	})
}

func TestCloseWaitsForCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		finished := false
		b, f := start(t, webflow.Options{Registered: func(webflow.Event) { time.Sleep(time.Second); finished = true }})
		open(t, f, "op", user("alice"))
		c := page(t, b, "alice", "auto")
		c.register("ws-op")
		_ = f.Close()
		if !finished {
			t.Error("Close has not waited")
		}
		_ = f.Close()
		c.register("ws-op")
		want(t, c, accepted("ws-op"), rejected("ws-op"))
		if _, err := f.Open(t.Context(), webflow.Operation{ID: "x"}); err != webflow.ErrClosed {
			t.Errorf("Open: %v", err)
		}
		if _, err := f.Notify(t.Context(), "op", "DONE"); err != webflow.ErrClosed {
			t.Errorf("Notify: %v", err)
		}
		if _, err := f.Result(t.Context(), "ws-op", webflow.Caller{}); err != webflow.ErrClosed {
			t.Errorf("Result: %v", err)
		}
	})
}
