//go:build unix

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// posted is the answer to POST /api/v1/messages.
type posted struct {
	MessageID string `json:"message_id"`
	Duplicate bool
}

// post publishes a message and wants it accepted.
func (s *server) post(t *testing.T, destination, body, headers string) (p posted) {
	t.Helper()
	text := fmt.Sprintf(`{"destination":%q,"body":%q,"headers":{%s}}`, destination, body, headers)
	if code := s.call(t, http.MethodPost, "/api/v1/messages", text, &p); code != http.StatusAccepted {
		t.Fatalf("POST %s: HTTP %d", text, code)
	}
	return p
}

// waiting returns the number of delayed messages.
func (s *server) waiting(t *testing.T) int {
	t.Helper()
	var list struct{ Total int }
	if code := s.call(t, http.MethodGet, "/api/v1/delayed", "", &list); code != http.StatusOK {
		t.Fatalf("the list of delayed messages: HTTP %d", code)
	}
	return list.Total
}

// queued returns how many messages a queue has.
func (s *server) queued(t *testing.T, queue string) int {
	t.Helper()
	var found struct {
		Items []struct {
			Name     string
			Messages int
		}
	}
	s.call(t, http.MethodGet, "/api/v1/destinations?prefix="+queue, "", &found)
	for _, d := range found.Items {
		if d.Name == queue {
			return d.Messages
		}
	}
	return 0
}

// With --store-dir a delayed message survives kill -9: one that falls due while
// the broker is down is delivered when it is up again, once, one that is not due
// waits, and one that was cancelled is gone.
func TestDelaysOfTheBinaryAreKept(t *testing.T) {
	t.Parallel()
	s := serveKept(t, nil)
	due := time.Now().Add(time.Second) // or later
	s.post(t, "/queue/jobs", "due meanwhile", `"delay":"1000"`)
	s.post(t, "/queue/jobs", "later", `"delay":"3600000"`)
	cancelled := s.post(t, "/queue/jobs", "cancelled", `"delay":"3600000"`)
	if code := s.call(t, http.MethodDelete, "/api/v1/delayed/"+cancelled.MessageID, "", nil); code != http.StatusNoContent {
		t.Fatalf("cancelling: HTTP %d", code)
	}
	s = s.killed(t)
	brokertest.Eventually(t, "the message is delivered", func() bool { return s.queued(t, "/queue/jobs") > 0 })
	if early := time.Until(due); early > 0 {
		t.Errorf("the message is delivered %v before it is due", early)
	}
	brokertest.Eventually(t, "one message waits", func() bool { return s.waiting(t) == 1 })
	s = s.killed(t)
	if n, waiting := s.queued(t, "/queue/jobs"), s.waiting(t); n != 1 || waiting != 1 {
		t.Errorf("%d messages are in the queue, %d wait", n, waiting)
	}
	if got := run(t, 0, nil, "sub", "-u", s.url, "/queue/jobs", "--count", "1").Stdout(); got != "due meanwhile\n" {
		t.Errorf("got %q", got)
	}
	s = s.killed(t)
	if n, waiting := s.queued(t, "/queue/jobs"), s.waiting(t); n != 0 || waiting != 1 {
		t.Errorf("%d messages are in the queue, %d wait", n, waiting)
	}
}

// With --store-dir a message expires although the broker was down, and becomes a
// dead letter, once.
func TestExpiryOfTheBinaryIsKept(t *testing.T) {
	t.Parallel()
	s := serveKept(t, []string{"HOOFBEAT_QUEUES_EXPIRED=dead_letter"})
	s.post(t, "/queue/jobs", "late", `"ttl":"1000"`)
	s.post(t, "/queue/jobs", "stays", fmt.Sprintf(`"expires":"%d"`, time.Now().Add(time.Hour).UnixMilli()))
	s = s.killed(t)
	brokertest.Eventually(t, "the message expires", func() bool { return s.queued(t, "/queue/DLQ.jobs") == 1 })
	s = s.killed(t)
	if n, dead := s.queued(t, "/queue/jobs"), s.queued(t, "/queue/DLQ.jobs"); n != 1 || dead != 1 {
		t.Errorf("%d messages and %d dead letters are left", n, dead)
	}
	if got := run(t, 0, nil, "sub", "-u", s.url, "/queue/jobs", "--count", "1").Stdout(); got != "stays\n" {
		t.Errorf("got %q", got)
	}
}

// With --store-dir a message that is sent again after kill -9 is a duplicate,
// also if it was acknowledged before, and if it is delayed, and in a topic with a
// history if another message has replaced it.
func TestMessageIDsOfTheBinaryAreKept(t *testing.T) {
	t.Parallel()
	file := write(t, "hoofbeat.yaml", `
auth: {anonymous: true}
rules:
  - {allow: [subscribe, send], destination: /queue/**}
  - {allow: [subscribe, send], destination: /topic/**}
history:
  - {destination: /topic/prices/**, messages: 1}
`)
	s := serveKept(t, []string{"HOOFBEAT_LIMITS_DEDUP_IDS=5"}, "-c", file)
	again := func() (duplicates []bool) {
		for _, x := range [][2]string{{`"message-dedup-id":"a"`, "/queue/jobs"}, {`"message-dedup-id":"b"`, "/queue/other"}, {`"message-dedup-id":"c","delay":"3600000"`, "/queue/jobs"},
			{`"message-dedup-id":"1"`, "/topic/prices/eu"}, {`"message-dedup-id":"2"`, "/topic/prices/eu"}} {
			duplicates = append(duplicates, s.post(t, x[1], "x", x[0]).Duplicate)
		}
		return duplicates
	}
	if got := fmt.Sprint(again()); got != "[false false false false false]" {
		t.Errorf("at first the duplicates are %s", got)
	}
	run(t, 0, nil, "sub", "-u", s.url, "/queue/jobs", "--count", "1")
	s = s.killed(t)
	if got := fmt.Sprint(again()); got != "[true true true true true]" {
		t.Errorf("after kill -9 the duplicates are %s", got)
	}
	if n, other, waiting := s.queued(t, "/queue/jobs"), s.queued(t, "/queue/other"), s.waiting(t); n != 0 || other != 1 || waiting != 1 {
		t.Errorf("%d and %d messages are in queues, %d wait", n, other, waiting)
	}
	p := run(t, 0, nil, "sub", "-u", s.url, "/topic/prices/eu", "--offset", "first", "--count", "1", "--verbose")
	if out := p.Stdout(); !strings.Contains(out, "message-dedup-id: 2\n") {
		t.Errorf("the last value is %q", out)
	}
	if code := s.call(t, http.MethodPost, "/api/v1/messages", `{"destination":"/queue/jobs","headers":{"message-dedup-id":"d"}}`, nil); code != http.StatusTooManyRequests {
		t.Errorf("one id too many: HTTP %d", code)
	}
}
