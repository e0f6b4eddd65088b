// Package handlers lets a server of any language handle what clients send to
// destinations of the application, as a program does with broker.Handle: each
// SEND or SUBSCRIBE is one signed POST, and the answer says what happens.
//
//	s, err := handlers.New(handlers.Options{Broker: b, Names: names, Handlers: list, InFlight: 256, Bytes: 64 << 20})
//	if err != nil {
//		return err // a *Problem
//	}
//	defer s.Close()
//
// The requests of one session are posted one after another, in the order of its
// frames. The session goes on meanwhile: its RECEIPTs wait. docs/handlers.md is
// the contract with the server.
package handlers

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/circuit"
	"github.com/hoofbeat/hoofbeat/auth/loglimit"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/signed"
	"github.com/hoofbeat/hoofbeat/topics"
)

// Options configure a [Set]. All fields but Logger and Transport are required.
type Options struct {
	Broker *broker.Broker
	// Names are the prefixes of destinations of the broker.
	Names    *topics.Names
	Handlers []Handler
	// InFlight is the maximum number of requests to all servers at the same
	// time.
	InFlight int
	// Bytes is the maximum memory of requests without an answer. A session
	// whose request finds no room stops reading.
	Bytes int64
	// Logger logs failures, at most once a second for each handler. Nil means
	// no logging.
	Logger *slog.Logger
	// Transport makes the requests. Nil means a new one for each handler.
	Transport http.RoundTripper
}

// Handler is one destination and its server.
type Handler struct {
	// Destination is an Ant pattern below an application prefix; a {name} in
	// place of a segment is a variable.
	Destination string
	URL         string // https, or http to this machine
	AllowHTTP   bool   // accept an http URL to any host
	Secret      string // signs the requests; "" means that they are not signed
	Timeout     time.Duration
	InFlight    int   // requests to this server at the same time
	MaxAnswer   int64 // bytes of an answer
	// Via is a queue in which SENDs wait until the server accepts them, "" for
	// none.
	Via string
}

// Problem is what is wrong with one handler.
type Problem struct {
	Index int    // in Options.Handlers
	Field string // its key: "destination", "url" or "via"
	Err   error
}

func (p *Problem) Error() string { return fmt.Sprintf("handlers[%d].%s: %v", p.Index, p.Field, p.Err) }
func (p *Problem) Unwrap() error { return p.Err }

// Set is the handlers of one broker. Its methods are safe for concurrent use.
type Set struct {
	b     *broker.Broker
	names *topics.Names
	app   string // the first application prefix
	log   *slog.Logger
	quiet loglimit.Limiter
	run   string // begins the ids of this process
	ids   atomic.Uint64
	slots chan struct{} // one for each request on its way
	room  *room

	shares, roomShares *shares // of slots and of room

	handlers []*handler
	patience time.Duration // patience, except in tests

	ctx     context.Context // of the requests
	cancel  context.CancelFunc
	running sync.WaitGroup // lanes

	mu     sync.Mutex
	closed bool
	lanes  map[string]*lane // by session
}

// handler is one of them.
type handler struct {
	Handler
	set     *Set
	key     string // such as "handlers[0]"
	pattern *pattern
	client  *signed.Client
	breaker circuit.Breaker
	slots   chan struct{}
	shares  *shares // of slots
	path    string  // of Destination, behind the prefix
	handled atomic.Int64
	failed  atomic.Int64

	answered atomic.Int64 // requests that the server itself answered, with whatever status
	away     atomic.Int64 // since when it does not answer the messages of the queue, in nanoseconds since 1970; 0 if it does
}

// New registers the handlers. The error is a [*Problem].
func New(o Options) (*Set, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	var run [8]byte
	_, _ = rand.Read(run[:]) // never fails
	s := &Set{
		b: o.Broker, names: o.Names, app: o.Names.Prefixes().App[0], log: o.Logger, run: hex.EncodeToString(run[:]) + "-", patience: patience,
		slots: make(chan struct{}, o.InFlight), room: newRoom(o.Bytes),
		shares: newShares(int64(o.InFlight)), roomShares: newShares(o.Bytes), lanes: make(map[string]*lane),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for i := range o.Handlers {
		if field, err := s.add(i, o.Handlers[i], o.Transport); err != nil {
			s.Close()
			return nil, &Problem{i, field, err}
		}
	}
	for i, h := range s.handlers {
		if field, err := h.register(); err != nil {
			s.Close()
			return nil, &Problem{i, field, err}
		}
	}
	return s, nil
}

// add checks a handler. It returns the name of the field that is wrong.
func (s *Set) add(i int, o Handler, transport http.RoundTripper) (field string, err error) {
	h := &handler{Handler: o, set: s, key: "handlers[" + strconv.Itoa(i) + "]", slots: make(chan struct{}, o.InFlight), shares: newShares(int64(o.InFlight))}
	d, err := s.names.Parse(o.Destination)
	if err != nil {
		return "destination", err
	}
	if d.Kind != topics.App {
		return "destination", fmt.Errorf("is not below %s", s.app)
	}
	h.path = d.Path
	if h.pattern, err = parsePattern(d.Path); err != nil {
		return "destination", err
	}
	for _, other := range s.handlers {
		if overlap(h.pattern.segments, other.pattern.segments) {
			return "destination", fmt.Errorf("%s overlaps with %s of %s: a destination has one handler", o.Destination, other.Destination, other.key)
		}
		if o.Via != "" && topics.Collapse(o.Via) == topics.Collapse(other.Via) {
			return "via", fmt.Errorf("%s is the queue of %s, too", o.Via, other.key)
		}
	}
	if o.Via != "" {
		if _, dead := s.names.DeadLettersOf(o.Via); dead {
			return "via", fmt.Errorf("%s is for dead letters", o.Via)
		}
		if q, err := s.names.Parse(o.Via); err != nil || q.Kind != topics.Queue || q.Pattern {
			return "via", fmt.Errorf("%s is not a queue such as /queue/orders", o.Via)
		}
	}
	h.client, err = signed.New(signed.Options{
		URL: o.URL, AllowHTTP: o.AllowHTTP, Secret: o.Secret, Timeout: o.Timeout, Connections: o.InFlight, MaxAnswer: o.MaxAnswer, Transport: transport,
	})
	if errors.Is(err, signed.ErrInsecure) {
		err = fmt.Errorf("%w: everybody on the way could read what clients send. %s.allow_http: true accepts it all the same", err, h.key)
	}
	if err != nil {
		return "url", err
	}
	s.handlers = append(s.handlers, h)
	return "", nil
}

// register adds a handler to the broker.
func (h *handler) register() (field string, err error) {
	b := h.set.b
	if _, err := topics.Compile(h.pattern.ant()); err != nil {
		return "destination", err
	}
	if err := b.Handle(h.set.app+h.pattern.ant(), h); err != nil {
		return "destination", fmt.Errorf("%s has a handler in the broker itself", h.Destination)
	}
	if h.Via == "" {
		return "", nil
	}
	if err := b.ReserveQueue(h.Via); err != nil {
		return "via", fmt.Errorf("%s does not keep messages: want a queue that is not in queues.transient, and queues.mode: work", h.Via)
	}
	_, err = b.Subscribe(h.set.ctx, h.Via, broker.SubscribeOptions{}, h.deliver)
	return "via", err
}

// Close cancels the requests that are on their way, and waits until nothing is
// running. Close the broker first. It may be called again.
func (s *Set) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.running.Wait()
	for _, h := range s.handlers {
		h.client.CloseIdleConnections()
	}
}

// State is the state of one handler.
type State struct {
	Destination string
	URL         string    // without its query
	Broken      time.Time // since when its server does not answer; zero if it does
	InFlight    int       // requests on their way
	Handled     int64     // requests that were answered
	Failed      int64     // requests that were not, or not as they have to be
}

// States returns the states of all handlers.
func (s *Set) States() []State {
	list := make([]State, len(s.handlers))
	for i, h := range s.handlers {
		list[i] = State{Destination: h.Destination, URL: h.client.Place(), InFlight: len(h.slots), Handled: h.handled.Load(), Failed: h.failed.Load()}
		if since, broken := h.breaker.Since(); broken {
			list[i].Broken = since
		} else if away := h.away.Load(); away != 0 {
			list[i].Broken = time.Unix(0, away)
		}
	}
	return list
}

// nextID returns the id of a request.
func (s *Set) nextID() string { return s.run + strconv.FormatUint(s.ids.Add(1), 10) }
