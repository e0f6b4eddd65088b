// Package events reports to an application by HTTP what happens to waiting
// pages: one POST for each event, in order, repeated until the application
// accepts it.
//
//	s, err := events.New(events.Options{URL: "https://app.example.com/events", Secret: secret})
//	if err != nil {
//		return err
//	}
//	defer s.Close(ctx)
//	flow, err := webflow.New(b, webflow.Options{Lost: s.Callback("lost")})
//
// An event may arrive twice, with the same id. Events wait in memory while the
// application does not accept them. When there are more than [MaxQueue], the
// oldest is dropped.
package events

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/signed"
)

const (
	// MaxQueue is the maximum number of waiting events.
	MaxQueue = 1000
	// MaxTries is the maximum number of attempts to send one event.
	MaxTries = 10
	// MaxTime is the maximum time to retry one event.
	MaxTime = 5 * time.Minute

	timeout    = 10 * time.Second // of one attempt
	firstPause = 500 * time.Millisecond
	maxPause   = time.Minute
)

// Options configure a [Sender].
type Options struct {
	// URL is the address to which events are posted: https, or http to this
	// machine. Required.
	URL string
	// AllowHTTP accepts an http URL to any host.
	AllowHTTP bool
	// Secret signs the events as package signed does. If it is empty, they
	// are not signed.
	Secret string
	// Logger logs when events are not accepted, and when they are again. Nil
	// means no logging.
	Logger *slog.Logger
	// Transport makes the requests. Nil means a new one with the proxy of the
	// environment.
	Transport http.RoundTripper
}

// Sender sends events. It is safe for concurrent use.
type Sender struct {
	client *signed.Client
	place  string // the URL without secrets, for logs
	log    *slog.Logger
	run    string // begins the ids of this process

	ctx     context.Context // of the requests
	stop    context.CancelFunc
	closing chan struct{}
	wake    chan struct{} // has an element if the queue may have changed
	done    chan struct{}
	failing bool // used only by the goroutine

	mu      sync.Mutex
	closed  bool
	number  uint64
	queue   [][]byte
	dropped int // since the last accepted event
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

// New returns a Sender. Its goroutine ends with [Sender.Close]. The error is
// about the URL but does not contain it.
func New(o Options) (*Sender, error) {
	client, err := signed.New(signed.Options{
		URL: o.URL, AllowHTTP: o.AllowHTTP, Secret: o.Secret, Timeout: timeout, MaxAnswer: maxAnswer, Transport: o.Transport,
	})
	switch {
	case errors.Is(err, signed.ErrInsecure):
		return nil, fmt.Errorf("%w: everybody on the way could read the events. webflow.events.allow_http accepts it all the same", err)
	case err != nil:
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	var run [8]byte
	_, _ = rand.Read(run[:]) // never fails
	s := &Sender{
		client: client, place: client.Place(), log: o.Logger, run: hex.EncodeToString(run[:]) + "-",
		closing: make(chan struct{}), wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	go s.work()
	return s, nil
}

// Callback returns a callback for [webflow.Options] that sends its events under
// the given name. It never blocks.
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
	if err != nil { // cannot happen: every field can be encoded
		s.log.Error("a webflow event could not be encoded", "event", name, "error", err)
		return
	}
	if len(s.queue) >= MaxQueue {
		if s.dropped == 0 {
			s.log.Warn("too many webflow events are waiting: dropping the oldest", "url", s.place, "limit", MaxQueue)
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

// Close sends the waiting events, each at most once more, until ctx ends, and
// logs how many remain. Later events are dropped. It may be called again.
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
