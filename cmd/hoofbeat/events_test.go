//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// listener is an application that hears what becomes of the pages that wait. It
// fails twice before it takes the first event.
type listener struct {
	*httptest.Server
	mu       sync.Mutex
	failures int
	events   []heard
	unsigned int
}

type heard struct {
	ID, Event, Operation, User, Session, Result, Reason string
	Code                                                int
	Time                                                time.Time
}

func newListener(t *testing.T) *listener {
	t.Helper()
	l := &listener{failures: 2}
	l.Server = httptest.NewServer(http.HandlerFunc(l.hear))
	t.Cleanup(l.Close)
	return l
}

func (l *listener) hear(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failures > 0 {
		l.failures--
		http.Error(w, "later", http.StatusInternalServerError)
		return
	}
	body, err := io.ReadAll(r.Body)
	var e heard
	if err != nil || r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" || json.Unmarshal(body, &e) != nil {
		http.Error(w, "no event", http.StatusBadRequest)
		return
	}
	if !signedByUs(r, body) {
		l.unsigned++
	}
	l.events = append(l.events, e)
	w.WriteHeader(http.StatusNoContent)
}

// wait waits for n events and returns them.
func (l *listener) wait(t *testing.T, n int) []heard {
	t.Helper()
	brokertest.Eventually(t, fmt.Sprintf("%d events are heard", n), func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.events) >= n
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unsigned > 0 {
		t.Errorf("%d events have a wrong signature", l.unsigned)
	}
	return l.events
}

// An application hears all that becomes of a page that waits, in order, though it
// was away in the beginning.
func TestTheApplicationHearsOfTheWait(t *testing.T) {
	l := newListener(t)
	s := serve(t, []string{
		"HOOFBEAT_WEBFLOW_EVENTS_URL=" + l.URL + "/hear", "HOOFBEAT_WEBFLOW_EVENTS_SECRET=" + webhookSecret, "HOOFBEAT_WEBFLOW_GRACE=100ms",
	})
	env := []string{"HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=" + s.token(t)}
	id := announce(t, s, "payment", `{"owner":{"user":"ann"}}`)
	conn := connectAs(t, "ann", s.url, client.Options{Login: "ann"})
	p := newWaiter(t, conn)
	acks, err := conn.Subscribe("/user/topic/authorization", stomp.AckClientIndividual)
	if err != nil {
		t.Fatal(err)
	}
	if ok, _ := p.register(t, id); !ok {
		t.Fatal("not registered")
	}
	run(t, 0, env, "notify", "payment", "AUTH_FAILED")
	receive(t, p.results)
	if err := conn.Ack(receive(t, acks)); err != nil {
		t.Fatal(err)
	}
	l.wait(t, 3)
	conn.Abort()
	l.wait(t, 5)
	if status := s.call(t, "PUT", "/api/v1/operations/short", `{"owner":{"user":"ann"},"ttl":1}`, nil); status != http.StatusCreated {
		t.Fatalf("HTTP %d", status)
	}
	events := l.wait(t, 6)
	ids := make(map[string]bool)
	for i, want := range []heard{
		{Event: "registered", Operation: "payment", User: "ann"},
		{Event: "delivered", Operation: "payment", User: "ann", Result: "AUTH_FAILED"},
		{Event: "acknowledged", Operation: "payment", User: "ann", Result: "AUTH_FAILED"},
		{Event: "lost", Operation: "payment", User: "ann", Result: "AUTH_FAILED", Reason: "connection-lost", Code: 1006},
		{Event: "abandoned", Operation: "payment", User: "ann", Result: "AUTH_FAILED", Reason: "connection-lost", Code: 1006},
		{Event: "expired", Operation: "short"},
	} {
		got := events[i]
		if ids[got.ID] || got.ID == "" || time.Since(got.Time).Abs() > time.Hour || (got.Session == "") != (want.Event == "expired") {
			t.Errorf("event %d: %+v", i, got)
		}
		ids[got.ID] = true
		got.ID, got.Session, got.Time = "", "", time.Time{}
		if got != want {
			t.Errorf("event %d: %+v, want %+v", i, got, want)
		}
	}
	s.Logged(t, "webflow events are not accepted; the broker keeps trying", 1)
	s.Logged(t, "webflow events are accepted again", 1)
	if strings.Contains(s.Stderr(), webhookSecret) {
		t.Error("the secret is in the log")
	}
	// What is heard of nobody is no reason not to end.
	l.Close()
	if ok, _ := newWaiter(t, connectAs(t, "ann", s.url, client.Options{Login: "ann"})).register(t, id); !ok {
		t.Error("not registered again")
	}
	s.Signal(t, syscall.SIGTERM)
	s.Exit(t, 0)
	if n := len(s.Log("webflow events were not accepted before the shutdown and are lost")); n != 1 {
		t.Errorf("the log says %d times that events are lost", n)
	}
}
