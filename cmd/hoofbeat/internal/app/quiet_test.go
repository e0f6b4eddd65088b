package app

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/webflow"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config/configtest"
)

// lines returns the lines with a text, and the maximum number of lines at one a
// second.
func (l *log) lines(text string, since time.Time) (found []string, most int) {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found, 1 + int(time.Since(since)/time.Second)
}

// A client that polls with a thousand invalid tickets cannot fill the log, and
// another address still gets its line.
func TestWrongTicketsToPollWithDoNotFillTheLog(t *testing.T) {
	l := new(log)
	a, err := New(Options{Config: configtest.Load(t, quiet), Logger: slog.New(slog.NewTextHandler(l, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	h := a.publicHandler()
	poll := func(remote string) {
		r := httptest.NewRequest("POST", "http://localhost/operations/none/poll-token", nil)
		r.Header.Set("Authorization", "Ticket wrong")
		r.RemoteAddr = remote
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != 401 {
			t.Errorf("HTTP %d, want 401", w.Code)
		}
	}
	begin := time.Now()
	for range 1000 {
		poll("192.0.2.7:4711")
	}
	found, most := l.lines("a ticket to poll with was not taken", begin)
	if len(found) == 0 || len(found) > most || !strings.Contains(found[0], "remote=192.0.2.7 ") {
		t.Errorf("%d lines, at most %d are right: %q", len(found), most, found)
	}
	poll("198.51.100.1:4711")
	if found, _ := l.lines("remote=198.51.100.1", begin); len(found) != 1 {
		t.Errorf("the line about another address: %q", found)
	}
}

// Pages without a user that register and leave cannot fill the log; the lines
// of users are all there.
func TestAbandonedOperationsOfNobodyDoNotFillTheLog(t *testing.T) {
	l := new(log)
	a, err := New(Options{Config: configtest.Load(t, quiet), Logger: slog.New(slog.NewTextHandler(l, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	begin := time.Now()
	for range 1000 {
		a.abandoned(webflow.Event{OperationID: "o", Session: "s"})
	}
	if found, most := l.lines("operation abandoned", begin); len(found) == 0 || len(found) > most {
		t.Errorf("%d lines, at most %d are right", len(found), most)
	}
	for range 20 {
		a.abandoned(webflow.Event{OperationID: "o", Session: "s", User: "ann"})
	}
	if found, _ := l.lines("user=ann", begin); len(found) != 20 {
		t.Errorf("%d lines about ann's operations, want 20", len(found))
	}
}
