package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// discardLog is for servers that are made to fail.
var discardLog = log.New(io.Discard, "", 0)

// backend is an HTTP server that keeps what it is asked.
type backend struct {
	*httptest.Server
	requests atomic.Int64
	mu       sync.Mutex
	last     map[string]any
	header   http.Header
}

// serve starts a backend. The handler is given a request whose body is still to
// be read.
func serve(t testing.TB, h http.HandlerFunc) *backend {
	t.Helper()
	b := &backend{}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.requests.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		question := make(map[string]any)
		if err := json.Unmarshal(body, &question); err != nil {
			t.Errorf("the question is not JSON: %v", err)
		}
		b.mu.Lock()
		b.last, b.header = question, r.Header.Clone()
		b.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		h(w, r)
	}))
	b.Config.ErrorLog = discardLog
	b.Start()
	t.Cleanup(b.Close)
	return b
}

// answering starts a backend that always says the same.
func answering(t testing.TB, status int, body string) *backend {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // the broker may have hung up
	})
}

// question returns the last question.
func (b *backend) question() map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

func (b *backend) lastHeader() http.Header {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.header
}

func newHook(t testing.TB, o Options) *Webhook {
	t.Helper()
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.CloseIdleConnections)
	return w
}

// transport is a backend in memory, for tests whose time is that of synctest.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

const inMemory = "https://backend.example.com/hoofbeat"

func response(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: make(http.Header), Body: io.NopCloser(strings.NewReader(body))}
}

// advance lets time pass. In a synctest bubble that takes none.
func advance(d time.Duration) { <-time.After(d) }

// silent never answers.
func silent(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func connect(login, passcode string) *auth.Attempt {
	return &auth.Attempt{
		Stage:    auth.StageConnect,
		Session:  "session-1",
		Login:    login,
		Passcode: passcode,
		Header:   func(string) string { return "" },
		Remote:   netip.MustParseAddrPort("203.0.113.7:50122"),
	}
}

var alice = &auth.Principal{Name: "alice", Roles: []string{"editor"}}

// refusalOf returns the refusal that err is, or fails the test.
func refusalOf(t testing.TB, err error) *auth.Refusal {
	t.Helper()
	var r *auth.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("error is %v, want a refusal", err)
	}
	return r
}

// eventually fails the test unless ok becomes true within a minute.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it never came to be: %s", what)
		}
	}
}
