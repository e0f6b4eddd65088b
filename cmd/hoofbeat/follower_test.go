//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
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
	if !signedByUs(r, body) {
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
