package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/topics"
)

// backend is a server in memory. It answers as the test says.
type backend struct {
	mu      sync.Mutex
	asked   []question
	ids     []string // Hoofbeat-Delivery
	answers func(q question) (status int, kind, body string)
	reached bool // a request that gets no answer has reached it
	logs    bytes.Buffer
}

func (s *backend) RoundTrip(r *http.Request) (*http.Response, error) {
	var q question
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.asked, s.ids = append(s.asked, q), append(s.ids, r.Header.Get("Hoofbeat-Delivery"))
	answers, reached := s.answers, s.reached
	s.mu.Unlock()
	status, kind, body := answers(q)
	if reached {
		httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{})
	}
	switch status {
	case silent:
		<-r.Context().Done()
		return nil, r.Context().Err()
	case gone:
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// Statuses of a request without an answer.
const (
	silent = -1
	gone   = -2
)

func (s *backend) set(status int, kind, body string) {
	s.answerWith(func(question) (int, string, string) { return status, kind, body })
}

func (s *backend) answerWith(f func(q question) (int, string, string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = f
}

// Write takes the log.
func (s *backend) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logs.Write(p)
}

// bodies returns the bodies that were posted, once nothing moves any more.
func (s *backend) bodies() []string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, q := range s.asked {
		if q.Body != nil {
			list = append(list, *q.Body)
		} else {
			list = append(list, q.Event)
		}
	}
	return list
}

func (s *backend) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logs.String()
}

const jsonType = "application/json; charset=utf-8"

// within runs f in a bubble, with a broker whose handlers ask the backend.
func within(t *testing.T, o Options, list []Handler, f func(t *testing.T, b *broker.Broker, set *Set, s *backend)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := new(backend)
		s.set(204, "", "")
		b := brokertest.New(t, broker.Options{Limits: broker.Limits{InFlight: 100}})
		names, err := topics.NewNames(topics.DefaultPrefixes())
		if err != nil {
			t.Fatal(err)
		}
		o.Broker, o.Names, o.Transport, o.Logger = b, names, s, slog.New(slog.NewTextHandler(s, nil))
		if o.InFlight == 0 {
			o.InFlight = 100
		}
		if o.Bytes == 0 {
			o.Bytes = 1 << 20
		}
		for _, h := range list {
			if h.URL == "" {
				h.URL = "https://app.example.com/?key=secret"
			}
			if h.InFlight == 0 {
				h.InFlight = 10
			}
			h.Timeout, h.MaxAnswer = 2*time.Second, 1000
			o.Handlers = append(o.Handlers, h)
		}
		set, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		defer b.Close()
		f(t, b, set, s)
	})
}

var orders = []Handler{{Destination: "/app/orders/{id}/**"}}

var invoices = []Handler{{Destination: "/app/invoices/{n}", Via: "/queue/invoices"}}

func send(c *brokertest.Client, destination, body, receipt string, headers ...string) {
	c.Send("SEND", body, append([]string{"destination", destination, "receipt", receipt}, headers...)...)
}

// want receives frames, each as "RECEIPT id", "MESSAGE destination body", or
// "ERROR id text".
func want(t *testing.T, c *brokertest.Client, list ...string) {
	t.Helper()
	for _, wanted := range list {
		f, err := c.Receive()
		if err != nil {
			t.Fatalf("%v, want %s", err, wanted)
		}
		got := f.Command + " " + f.Get("receipt-id")
		switch f.Command {
		case "MESSAGE":
			got = "MESSAGE " + f.Get("destination") + " " + string(f.Body)
		case "ERROR":
			got += " " + f.Get("message")
		}
		if got != wanted {
			t.Fatalf("got %s, want %s", got, wanted)
		}
	}
	synctest.Wait()
	if n := c.Pending(); n > 0 {
		f, err := c.Receive()
		t.Fatalf("got %v, %v and no more was wanted", f, err)
	}
}

// waiting returns the messages of a queue, as they are in it.
func waiting(b *broker.Broker, queue string) int {
	synctest.Wait()
	for d := range b.Destinations() {
		if d.Name == queue {
			return d.Messages
		}
	}
	return 0
}
