package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// Handler answers what clients send to /app destinations: Spring's
// @MessageMapping, and @SubscribeMapping when Request.Subscribe is set.
//
// It runs on the session's own goroutine: frames of one client are handled one
// after another, in order, and a slow handler slows only its own client. An
// error ends the session; the client is told the text of an [*Error] and a
// constant text otherwise. ctx ends with the session.
type Handler interface {
	ServeSTOMP(ctx context.Context, r *Request) error
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, r *Request) error

// ServeSTOMP calls f.
func (f HandlerFunc) ServeSTOMP(ctx context.Context, r *Request) error { return f(ctx, r) }

// Request is one SEND or SUBSCRIBE to an application destination.
type Request struct {
	// Destination is the path behind /app, as it was registered: "/echo".
	Destination string
	// Subscribe is set for a SUBSCRIBE, which wants one answer and no more.
	Subscribe bool
	// Principal is who the client is. Never nil; anonymous has no name.
	Principal *auth.Principal
	// Session is the id of the client's session.
	Session string
	// Headers are all headers of the frame. They and Body are valid only until
	// the handler returns.
	Headers []frames.Header
	Body    []byte

	s   *session
	sub *subscription
	bt  *batch
}

// Header returns the first header with that name, or "".
func (r *Request) Header(name string) string {
	f := frames.Frame{Headers: r.Headers}
	return f.Get(name)
}

// Reply answers this client and nobody else. The answer to a SUBSCRIBE goes to
// that subscription, under the destination it named. The answer to a SEND goes
// to the user destination named by m.Destination ("/queue/answers"), else by
// the `reply-to` header of the request if it is one of the client's own
// ("/user/queue/answers"), else to /user/queue followed by the path behind /app
// (Spring's @SendToUser with broadcast=false). Call it before the handler returns.
func (r *Request) Reply(ctx context.Context, m *Message) (Delivery, error) {
	if r.sub != nil {
		p := &publication{prefix: r.s.b.idPrefix, seq: r.s.b.nextID()}
		p.set(m, r.sub.dest.Name)
		if !r.s.out.deliver(r.sub, p.frame(r.s.wire.framing(), r.s.version, r.sub), r.bt) {
			return Delivery{}, ErrNoSession
		}
		r.s.b.stats.delivered.Add(1)
		return Delivery{Subscriptions: 1}, nil
	}
	c := *m
	if c.Destination == "" {
		c.Destination = "/queue" + r.Destination
		if d, err := topics.Parse(r.Header("reply-to")); err == nil && d.Kind == topics.UserPrivate {
			c.Destination = d.Path
		}
	}
	path, err := r.s.b.privatePath(ctx, &c)
	if err != nil {
		return Delivery{}, err
	}
	p := &publication{prefix: r.s.b.idPrefix, seq: r.s.b.nextID()}
	p.set(&c, userPrefix+path)
	if c.Settled != nil {
		p.msg = &c
	}
	var out Delivery
	r.s.b.deliverToSession(r.Session, path, p, r.bt, &out, true)
	return out, nil
}

// mux finds the handler of a path: literal paths first, then patterns in the
// order of their registration.
type mux struct {
	mu       sync.RWMutex
	literal  map[string]Handler
	patterns []patternHandler
}

type patternHandler struct {
	text    string
	pattern *topics.Pattern
	h       Handler
}

// Handle registers h for an application destination, with or without its /app
// prefix, Ant patterns included: "/app/orders/*". A SEND to /user/topic/x or
// /user/queue/x reaches the handler of /app/x. Registering the same pattern
// twice is an error. Handlers may be added at any time.
func (b *Broker) Handle(pattern string, h Handler) error {
	if h == nil {
		return errors.New("broker: Handle: nil handler")
	}
	path := pattern
	if path != "/app" && !strings.HasPrefix(path, "/app/") {
		path = "/app" + path
	}
	d, err := topics.Parse(path)
	if err != nil {
		return fmt.Errorf("broker: Handle %q: %w", pattern, err)
	}
	m := &b.mux
	m.mu.Lock()
	defer m.mu.Unlock()
	twice := fmt.Errorf("broker: Handle %q: registered already", pattern)
	if !d.Pattern {
		if _, ok := m.literal[d.Path]; ok {
			return twice
		}
		m.literal[d.Path] = h
		return nil
	}
	p, err := topics.Compile(d.Path)
	if err != nil {
		return fmt.Errorf("broker: Handle %q: %w", pattern, err)
	}
	for _, other := range m.patterns {
		if other.text == d.Path {
			return twice
		}
	}
	m.patterns = append(m.patterns, patternHandler{d.Path, p, h})
	return nil
}

func (m *mux) find(path string) Handler {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if h, ok := m.literal[path]; ok {
		return h
	}
	for _, p := range m.patterns {
		if p.pattern.Match(path) {
			return p.h
		}
	}
	return nil
}

// handlerPath maps /topic/x and /queue/x, as sent to a user destination, to the
// path of their handler, /x.
func handlerPath(path string) string {
	return path[strings.IndexByte(path[1:], '/')+1:]
}

// handle runs the handler for a SEND.
func (s *session) handle(path string, d topics.Destination, f *frames.Frame, bt *batch) *Error {
	return s.serve(&Request{Destination: path, Headers: f.Headers, Body: f.Body}, d, bt)
}

// handleSubscribe runs the handler for a SUBSCRIBE to /app: it is answered once
// and not registered. Receipt first, as for every SUBSCRIBE.
func (s *session) handleSubscribe(sub *subscription, f *frames.Frame, bt *batch) *Error {
	sub.gated = true
	sub.mode = ackAuto
	fail := s.serve(&Request{Destination: sub.dest.Path, Subscribe: true, Headers: f.Headers, sub: sub}, sub.dest, bt)
	if fail == nil {
		s.out.open(sub, s.receiptFrame(f), bt)
	} else {
		s.out.discard(sub)
	}
	return fail
}

func (s *session) serve(r *Request, d topics.Destination, bt *batch) *Error {
	h := s.b.mux.find(r.Destination)
	if h == nil {
		return failure(ReasonDenied, "nothing handles messages for this destination")
	}
	r.s, r.bt, r.Principal, r.Session = s, bt, s.principal.Load(), s.id
	var err error
	s.user(bt, func(ctx context.Context) { err = h.ServeSTOMP(ctx, r) })
	if err == nil {
		return nil
	}
	var public *Error
	if errors.As(err, &public) {
		return public
	}
	s.b.o.Logger.Error("a handler failed", "session", s.id, "destination", d.Name, "error", err)
	return &Error{Reason: ReasonInternalError, Message: "internal error"}
}
