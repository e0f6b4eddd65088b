// Package events tells an application by HTTP what becomes of the pages that wait:
// one POST for each event, in order, each until it is taken.
//
//	s, err := events.New(events.Options{URL: "https://app.example.com/events", Secret: secret})
//	if err != nil {
//		return err
//	}
//	defer s.Close(ctx)
//	flow, err := webflow.New(b, webflow.Options{Lost: s.Callback("lost")})
//
// An event can come twice: its id tells. While the application does not take
// them, events wait in memory. Of more than [MaxQueue] the oldest is dropped.
package events

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/webhook"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

const (
	// MaxQueue is how many events wait to be sent.
	MaxQueue = 1000
	// MaxTries is how often one event is sent, if it is not taken.
	MaxTries = 10
	// MaxTime is how long an event is tried.
	MaxTime = 5 * time.Minute

	timeout    = 10 * time.Second // of one try
	firstPause = 500 * time.Millisecond
	maxPause   = time.Minute
)

// Options say where events go.
type Options struct {
	// URL is where they are posted: https, or http to this machine. Required.
	URL string
	// AllowHTTP accepts an http URL to anywhere.
	AllowHTTP bool
	// Secret signs them as [webhook.Signature] does. Empty: they are not signed.
	Secret string
	// Logger is told when events are not taken, and when they are again. Nil
	// discards that.
	Logger *slog.Logger
	// Transport makes the requests. Nil is one of its own, with the proxy of the
	// environment.
	Transport http.RoundTripper
}

// Sender sends events. It is safe for concurrent use.
type Sender struct {
	url, place string // place is the URL as it may be logged
	secret     []byte
	client     http.Client
	log        *slog.Logger
	run        string // begins the ids of this process

	ctx     context.Context // of the requests
	stop    context.CancelFunc
	closing chan struct{}
	wake    chan struct{} // has an element if the queue may have changed
	done    chan struct{}
	failing bool // only for the goroutine

	mu      sync.Mutex
	closed  bool
	number  uint64
	queue   [][]byte
	dropped int // since the last event that was taken
}

// event is the body of a request.
type event struct {
	ID          string    `json:"id"`
	Event       string    `json:"event"`
	Operation   string    `json:"operation"`
	WebSocketID string    `json:"websocket_id"`
	User        string    `json:"user"`
	Session     string    `json:"session"`
	Result      string    `json:"result"`
	Reason      string    `json:"reason,omitempty"`
	Code        int       `json:"code,omitempty"`
	Time        time.Time `json:"time"`
}

// New returns a Sender, whose goroutine ends with [Sender.Close]. The error is
// about the URL and has nothing of it.
func New(o Options) (*Sender, error) {
	u, err := url.Parse(o.URL)
	if err != nil || webhook.CheckURL(o.URL, true) != nil {
		return nil, errors.New("is not an absolute https URL without user, password and fragment")
	}
	if webhook.CheckURL(o.URL, o.AllowHTTP) != nil {
		return nil, errors.New("is neither https nor http to this machine: everybody on the way could read the events. webflow.events.allow_http accepts it all the same")
	}
	place := *u
	place.RawQuery, place.ForceQuery = "", false
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if base, ok := http.DefaultTransport.(*http.Transport); ok && o.Transport == nil {
		o.Transport = base.Clone()
	}
	var run [8]byte
	_, _ = rand.Read(run[:]) // never fails
	s := &Sender{
		url: o.URL, place: place.String(), secret: []byte(o.Secret), log: o.Logger, run: hex.EncodeToString(run[:]) + "-",
		client: http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		// A redirect would take the events to a place that nobody has named.
		closing: make(chan struct{}), wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	go s.work()
	return s, nil
}

// Callback returns a callback of [webflow.Options] that sends its events under
// that name. It never blocks.
func (s *Sender) Callback(name string) func(webflow.Event) {
	return func(e webflow.Event) { s.put(name, &e) }
}

func (s *Sender) put(name string, e *webflow.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.number++
	reason := ""
	if e.Reason != broker.ReasonNone {
		reason = e.Reason.String()
	}
	body, err := json.Marshal(event{
		ID: s.run + strconv.FormatUint(s.number, 10), Event: name, Operation: e.OperationID, WebSocketID: e.WebSocketID,
		User: e.User, Session: e.Session, Result: e.Result, Reason: reason, Code: e.Code, Time: time.Now().UTC(),
	})
	if err != nil { // there is nothing in it that could not be encoded
		s.log.Error("an event of a wait could not be written", "event", name, "error", err)
		return
	}
	if len(s.queue) >= MaxQueue {
		if s.dropped == 0 {
			s.log.Warn("events of waits are dropped, the oldest first: too many have not been taken", "url", s.place, "limit", MaxQueue)
		}
		s.dropped++
		s.queue[0] = nil
		s.queue = s.queue[1:]
	}
	s.queue = append(s.queue, body)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close sends what waits, each event once more at most, until ctx ends, and logs
// how many were left. Events that come later are dropped. It may be called again.
func (s *Sender) Close(ctx context.Context) {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	defer s.stop()
	select {
	case <-s.done:
	case <-ctx.Done():
		s.stop()
		<-s.done
	}
	s.client.CloseIdleConnections()
}
