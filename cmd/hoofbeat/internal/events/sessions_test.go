package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/topics"
)

// follower is an application that follows the events of sessions, while up is
// set.
type follower struct {
	mu      sync.Mutex
	up      bool
	tries   [][]byte // the bodies of all requests
	taken   int      // requests
	events  []told
	log     strings.Builder
	problem string
}

type told struct {
	ID, Event, Session, User string
	Missing                  int
}

func (f *follower) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries = append(f.tries, body)
	if !f.up {
		return nil, errors.New("down")
	}
	var list []told
	if err := json.Unmarshal(body, &list); err != nil || len(list) == 0 {
		f.problem = fmt.Sprintf("%v in %s", err, body)
	}
	f.events = append(f.events, list...)
	f.taken++
	return &http.Response{StatusCode: http.StatusNoContent, Body: io.NopCloser(strings.NewReader(""))}, nil
}

func (f *follower) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Write(p)
}

func (f *follower) set(up bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.up = up
}

// complete checks that the events are the first n, in order, without a gap that
// the event after it does not tell. It returns how many are missing.
func (f *follower) complete(t *testing.T, n int) (missing int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	next := 1
	for _, e := range f.events {
		_, number, _ := strings.Cut(e.ID, "-")
		next += e.Missing
		missing += e.Missing
		if number != strconv.Itoa(next) || e.Session != fmt.Sprint("s", next) {
			t.Fatalf("event %+v, want number %d", e, next)
		}
		next++
	}
	if next != n+1 || f.problem != "" {
		t.Errorf("the last event is number %d, want %d; %s", next-1, n, f.problem)
	}
	return missing
}

// follow returns a Sender to f and a function that tells it of a session.
func follow(t *testing.T, f *follower, maxBytes int) (s *Sender, tell func()) {
	t.Helper()
	s, err := ForSessions(Options{URL: "https://app.example.com/events", MaxBytes: maxBytes, Logger: slog.New(slog.NewTextHandler(f, nil)), Transport: f})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeWithin(s, time.Second) })
	o, err := s.Observer(Selection{Types: []string{Connected}, Node: "one"})
	if err != nil || o.Disconnected != nil || o.Subscribed != nil || o.Unsubscribed != nil {
		t.Fatalf("the observer is %+v, %v", o, err)
	}
	n := 0
	return s, func() {
		n++
		o.Connected(broker.SessionInfo{ID: fmt.Sprint("s", n), User: "ann", Transport: "websocket", Remote: netip.MustParseAddrPort("192.0.2.1:4000"), UserAgent: strings.Repeat("a", 100)})
	}
}

// memory checks that what waits takes no more than it may.
func memory(t *testing.T, s *Sender, max int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	held := 0
	for _, e := range s.queue.list {
		held += cap(e.text)
	}
	if s.queue.bytes > max || held > s.queue.bytes {
		t.Errorf("%d bytes are counted and %d are held, at most %d may be", s.queue.bytes, held, max)
	}
}

// Ten thousand connects within a second are a few dozen requests.
func TestEventsShareRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &follower{up: true}
		_, tell := follow(t, f, 16<<20)
		const n = 10_000
		for range n {
			tell()
			time.Sleep(time.Second / n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if missing := f.complete(t, n); missing != 0 {
			t.Errorf("%d are missing", missing)
		}
		most := 0
		for _, body := range f.tries {
			most = max(most, len(body))
		}
		if most > maxBatch || len(f.tries) > 100 || f.taken != len(f.tries) {
			t.Errorf("%d requests, the largest of %d bytes, were made", len(f.tries), most)
		}
	})
}

// A request is repeated as it is, however long it takes.
func TestSessionEventsAreNeverGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(follower)
		s, tell := follow(t, f, 1<<20)
		tell()
		tell()
		time.Sleep(gathering)
		synctest.Wait()
		tell()
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		f.mu.Lock()
		tries := len(f.tries)
		for i, body := range f.tries {
			if !bytes.Equal(body, f.tries[0]) || bytes.Count(body, []byte(`"id"`)) != 2 {
				t.Errorf("attempt %d is %s, want %s", i, body, f.tries[0])
			}
		}
		if n := strings.Count(f.log.String(), "session events are not accepted; the broker keeps trying"); n < 10 || n > 20 {
			t.Errorf("the log complains %d times in 3 hours", n)
		}
		f.mu.Unlock()
		if tries < 100 {
			t.Errorf("%d attempts in 3 hours", tries)
		}
		f.set(true)
		time.Sleep(2 * maxPause)
		synctest.Wait()
		if missing := f.complete(t, 3); missing != 0 || !strings.Contains(f.log.String(), "session events are accepted again") {
			t.Errorf("%d are missing:\n%s", missing, f.log.String())
		}
		memory(t, s, 0)
	})
}

// At the bound the oldest events are dropped, and the next one tells how many.
func TestSessionEventsAreBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 64 << 10
		f := new(follower)
		s, tell := follow(t, f, bound)
		tell()
		time.Sleep(gathering)
		synctest.Wait() // it is on its way
		const n = 1000
		for range n - 1 {
			tell()
			memory(t, s, bound)
		}
		begun := time.Now().Add(-time.Minute)
		if st := s.State(); st.Failing.Before(begun) || int64(st.Waiting)+st.Dropped != n || st.Delivered != 0 || st.Bytes < bound/2 || st.Bytes > bound {
			t.Errorf("the state is %+v", st)
		}
		f.set(true)
		time.Sleep(2 * maxPause)
		synctest.Wait()
		missing := f.complete(t, n)
		if missing < n/2 || missing > n-100 {
			t.Errorf("%d of %d events are missing", missing, n)
		}
		if st := s.State(); st != (State{Key: "events", URL: "https://app.example.com/events", Delivered: int64(n - missing), Dropped: int64(missing)}) {
			t.Errorf("the state is %+v", st)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.events[0].Missing != 0 || f.events[1].Missing != missing {
			t.Errorf("the first events say %d and %d", f.events[0].Missing, f.events[1].Missing)
		}
		log := f.log.String()
		if strings.Count(log, "too many session events are waiting: dropping the oldest") != 1 || !strings.Contains(log, "key=events.bytes limit=65536") ||
			!strings.Contains(log, fmt.Sprintf("dropped=%d", missing)) {
			t.Errorf("the log says\n%s", log)
		}
	})
}

// An event that has no room alone is missing itself.
func TestEventWithoutRoom(t *testing.T) {
	var q queue
	q.maxBytes = 1000
	large := []byte(strings.Repeat("x", 1000))
	for i, step := range []struct {
		text    []byte
		all     bool
		left    int
		missing int
	}{
		{large[:100], true, 1, 0}, {large[:100], true, 2, 0}, {large, false, 0, 3}, {large[:100], true, 1, 3},
	} {
		if all := q.add(bytes.Clone(step.text)); all != step.all || len(q.list) != step.left || q.missing != step.missing {
			t.Errorf("step %d: %v, %d are left and %d missing", i, all, len(q.list), q.missing)
		}
	}
	if r := q.take(true); r.missing != 3 || r.n != 1 || q.missing != 0 {
		t.Errorf("the request is %+v", r)
	}
	if r := q.take(true); r != nil {
		t.Errorf("another request is %+v", r)
	}
}

// A batch that does not wait for others is sent at the end, and what is not
// accepted by then is said.
func TestSessionEventsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &follower{up: true}
		s, tell := follow(t, f, 1<<20)
		begun := time.Now()
		for range 1000 {
			tell()
		}
		closeWithin(s, time.Second)
		if f.complete(t, 1000) != 0 || time.Since(begun) != 0 {
			t.Errorf("it took %v", time.Since(begun))
		}
		f = new(follower)
		s, tell = follow(t, f, 1<<20)
		for range 1000 {
			tell()
		}
		closeWithin(s, time.Second)
		if !strings.Contains(f.log.String(), "session events were not accepted before the shutdown and are lost") || !strings.Contains(f.log.String(), "events=1000") {
			t.Errorf("the log says\n%s", f.log.String())
		}
	})
}

func TestUnknownEvent(t *testing.T) {
	s, err := ForSessions(Options{URL: "https://app.example.com/events", MaxBytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer closeWithin(s, time.Second)
	if _, err := s.Observer(Selection{Types: []string{"connect"}}); err == nil || !strings.Contains(err.Error(), `"connect"`) {
		t.Errorf("%v", err)
	}
	if _, err := ForSessions(Options{URL: "http://app.example.com"}); err == nil || !strings.Contains(err.Error(), " events.allow_http") {
		t.Errorf("%v", err)
	}
}

func TestDestinationsOfEvents(t *testing.T) {
	names, err := topics.NewNames(topics.Prefixes{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDestinations(names, []string{"/topic/room/**", "/topic/stock.*", "/queue/jobs/", "/user/queue/answers"})
	if err != nil {
		t.Fatal(err)
	}
	for destination, want := range map[string]bool{
		"/topic/room":            true,
		"/topic/room/7":          true,
		"/topic//room/7/":        true,
		"/topic/rooms":           false,
		"/topic/stock.acme":      true,
		"/topic/stock.acme/all":  false,
		"/topic/**":              true,
		"/topic/*/7":             true,
		"/topic/room/*":          true,
		"/topic/roo?":            true,
		"/topic/chat/**":         false,
		"/queue/jobs":            true,
		"/queue/jobs/later":      false,
		"/user/queue/answers":    true,
		"/user/ann/queue/answer": false,
		"/user/queue/questions":  false,
		"nonsense":               false,
	} {
		if got := d.Match(destination); got != want {
			t.Errorf("%s: %v", destination, got)
		}
	}
	if none, err := NewDestinations(names, nil); err != nil || !none.Match("/topic/a") {
		t.Errorf("without patterns: %v", err)
	}
	for _, wrong := range []string{"/room/**", "/topic/", "topic"} {
		if _, err := NewDestinations(names, []string{"/topic/a", wrong}); err == nil || !strings.Contains(err.Error(), strconv.Quote(wrong)) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
