// Package events reports to an application by HTTP what happens in the broker:
// what becomes of waiting pages, and when sessions and subscriptions begin and
// end. A [Sender] posts events in order, one request at a time, and repeats each
// request until the application accepts it.
//
//	s, err := events.ForSessions(events.Options{URL: "https://app.example.com/events", Secret: secret, MaxBytes: 16 << 20})
//	if err != nil {
//		return err
//	}
//	defer s.Close(ctx)
//	observer, err := s.Observer(events.Selection{Types: []string{"connected", "disconnected"}})
//	if err != nil {
//		return err
//	}
//	b.Observe(observer)
//
// An event may arrive twice, with the same id. Events wait in memory, within a
// bound, while the application does not accept them. At the bound the oldest is
// dropped, and the event after it says how many are missing.
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
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/signed"
)

const (
	timeout    = 10 * time.Second // of one attempt
	firstPause = 500 * time.Millisecond
	maxPause   = time.Minute
	// complaints is how often the log says that events are not accepted, or
	// that some are dropped, while this lasts.
	complaints = 10 * time.Minute
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
	// MaxBytes bounds the memory of the events of [ForSessions] that wait or
	// are being sent. Required there.
	MaxBytes int
	// Logger logs when events are not accepted, and when they are again. Nil
	// means no logging.
	Logger *slog.Logger
	// Transport makes the requests. Nil means a new one with the proxy of the
	// environment.
	Transport http.RoundTripper
}

// manner is how a Sender treats its events.
type manner struct {
	key       string        // the section of the configuration, such as webflow.events
	name      string        // of the events in the log
	batch     bool          // a request has a list of events
	maxEvents int           // that wait; 0 = no limit
	maxBytes  int           // of memory; 0 = no limit
	maxTries  int           // of one request; 0 = no limit
	maxTime   time.Duration // of one request, if maxTries is not 0
}

// Sender sends events. It is safe for concurrent use.
type Sender struct {
	manner
	client *signed.Client
	place  string // the URL without secrets, for logs
	log    *slog.Logger
	run    string // begins the ids of this process

	ctx     context.Context // of the requests
	stop    context.CancelFunc
	closing chan struct{}
	wake    chan struct{} // has an element if the queue may have changed
	done    chan struct{}

	complained time.Time // that events are not accepted; used only by the goroutine

	mu     sync.Mutex
	closed bool
	queue  queue
}

// start returns a Sender. Its goroutine ends with [Sender.Close]. The error is
// about the URL but does not contain it.
func start(o Options, m manner) (*Sender, error) {
	client, err := signed.New(signed.Options{
		URL: o.URL, AllowHTTP: o.AllowHTTP, Secret: o.Secret, Timeout: timeout, MaxAnswer: maxAnswer, Transport: o.Transport,
	})
	switch {
	case errors.Is(err, signed.ErrInsecure):
		return nil, fmt.Errorf("%w: everybody on the way could read the events. %s.allow_http accepts it all the same", err, m.key)
	case err != nil:
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	var run [8]byte
	_, _ = rand.Read(run[:]) // never fails
	s := &Sender{
		manner: m, client: client, place: client.Place(), log: o.Logger, run: hex.EncodeToString(run[:]) + "-",
		closing: make(chan struct{}), wake: make(chan struct{}, 1), done: make(chan struct{}),
		queue: queue{maxEvents: m.maxEvents, maxBytes: m.maxBytes},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	go s.work()
	return s, nil
}

// put adds an event, a struct, to the queue. It never waits for the application.
func (s *Sender) put(event any) {
	text, err := json.Marshal(event)
	if err != nil { // cannot happen: every field can be encoded
		s.log.Error("an event could not be encoded", "events", s.name, "error", err)
		return
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	complain := !s.queue.add(text) && time.Since(s.queue.warned) >= complaints
	if complain {
		s.queue.warned = time.Now()
	}
	dropped := s.queue.dropped
	s.mu.Unlock()
	if complain {
		s.log.Warn("too many "+s.name+" are waiting: dropping the oldest", s.bound("url", s.place, "dropped", dropped)...)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// bound adds the bound of the queue to the attributes of a log record.
func (s *Sender) bound(attrs ...any) []any {
	if s.maxBytes > 0 {
		return append(attrs, "key", s.key+".bytes", "limit", s.maxBytes)
	}
	return append(attrs, "limit", s.maxEvents)
}

// State is the state of a [Sender].
type State struct {
	Key       string    // the section of the configuration
	URL       string    // without secrets
	Failing   time.Time // since when events are not accepted; zero if they are
	Waiting   int       // events that are not accepted yet
	Bytes     int       // of their memory
	Delivered int64     // events that were accepted
	Dropped   int64     // events that the application misses
}

// State returns the present state.
func (s *Sender) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.queue
	return State{
		Key: s.key, URL: s.place, Failing: q.failing, Waiting: len(q.list) + q.sending, Bytes: q.bytes,
		Delivered: q.delivered, Dropped: q.lost,
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
