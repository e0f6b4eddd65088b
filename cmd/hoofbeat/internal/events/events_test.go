package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// application accepts events while up is set.
type application struct {
	mu    sync.Mutex
	up    bool
	tries int
	taken []string
	log   strings.Builder
}

func (a *application) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tries++
	if !a.up {
		return nil, errors.New("down")
	}
	var e operationEvent
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
		return nil, err
	}
	a.taken = append(a.taken, e.Operation)
	return &http.Response{StatusCode: http.StatusNoContent, Body: io.NopCloser(strings.NewReader(""))}, nil
}

// set sets whether events are accepted from now on.
func (a *application) set(up bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.up = up
}

func (a *application) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log.Write(p)
}

// want checks the accepted events, the number of attempts, and that the log has
// each of the texts once.
func (a *application) want(t *testing.T, taken string, tries int, logged ...string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if got := strings.Join(a.taken, " "); got != taken || a.tries != tries {
		t.Errorf("taken %q in %d tries, want %q in %d", got, a.tries, taken, tries)
	}
	for _, text := range logged {
		if n := strings.Count(a.log.String(), text); n != 1 {
			t.Errorf("the log says %q %d times:\n%s", text, n, a.log.String())
		}
	}
	a.log.Reset()
}

func newSender(t *testing.T, a *application) *Sender {
	t.Helper()
	s, err := ForWebFlow(Options{URL: "https://app.example.com/events?key=secret", Logger: slog.New(slog.NewTextHandler(a, nil)), Transport: a})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeWithin(s, time.Second) })
	return s
}

func closeWithin(s *Sender, d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	s.Close(ctx)
}

func tell(s *Sender, operations ...string) {
	for _, id := range operations {
		s.Callback("lost")(webflow.Event{OperationID: id})
	}
}

func TestEventsAreSentUntilTheyAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a application
		s := newSender(t, &a)
		tell(s, "a", "b")
		time.Sleep(3 * time.Second) // of the bubble's clock: tries at 0 s, 0.5 s and 1.5 s
		synctest.Wait()
		a.want(t, "", 3, "are not accepted")
		a.set(true)
		time.Sleep(time.Second)
		synctest.Wait()
		a.want(t, "a b", 5, `accepted again" url=https://app.example.com/events dropped=0`)
		tell(s, "c")
		synctest.Wait()
		a.want(t, "a b c", 6)
	})
}

func TestEventsAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a application
		s := newSender(t, &a)
		tell(s, "a")
		time.Sleep(MaxTime)
		synctest.Wait()
		a.want(t, "", MaxTries, "dropped after the last attempt", "are not accepted")
		a.set(true)
		tell(s, "b")
		synctest.Wait()
		a.want(t, "b", MaxTries+1, "accepted again")
		if st := s.State(); st != (State{Key: "webflow.events", URL: "https://app.example.com/events", Delivered: 1, Dropped: 1}) {
			t.Errorf("the state is %+v", st)
		}
	})
}

// The number of waiting events is bounded, and a callback never blocks.
func TestEventsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a application
		s := newSender(t, &a)
		tell(s, "first")
		synctest.Wait() // it is on its way
		var all []string
		for i := range MaxQueue + 7 {
			all = append(all, fmt.Sprint(i))
		}
		tell(s, all...)
		a.set(true)
		time.Sleep(time.Second)
		synctest.Wait()
		a.want(t, "first "+strings.Join(all[7:], " "), 2+MaxQueue, "dropping the oldest", "dropped=7")
	})
}

// Close sends the waiting events, and does not wait for an application that is
// down.
func TestEventsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a application
		s := newSender(t, &a)
		tell(s, "a", "b")
		synctest.Wait()
		a.set(true)
		closeWithin(s, time.Second)
		a.want(t, "a b", 3)
		tell(s, "c")
		closeWithin(s, time.Second)
		a.want(t, "a b", 3)

		var down application
		s = newSender(t, &down)
		tell(s, "a", "b", "c")
		synctest.Wait()
		begun := time.Now()
		closeWithin(s, time.Second)
		if d := time.Since(begun); d != 0 {
			t.Errorf("it took %v", d)
		}
		down.want(t, "", 2, "events=3")
	})
}

func TestEventsURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://app.example.com/e":       "",
		"http://127.0.0.1:9/e":            "",
		"http://app.example.com/e":        " webflow.events.allow_http",
		"https://ann:secret@example.com/": "without user",
		"app":                             "is not an absolute https URL",
	} {
		s, err := ForWebFlow(Options{URL: text})
		if err == nil {
			closeWithin(s, time.Second)
		}
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
