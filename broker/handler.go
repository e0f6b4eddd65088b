package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// Handler handles the frames that clients send to /app destinations, like
// Spring's @MessageMapping, and like @SubscribeMapping when Request.Subscribe
// is set.
//
// It runs on the session's own goroutine: the frames of one client are handled
// one after another, in order, and a slow handler slows only its own client. A
// handler that waits for something calls [Request.Later]. An error ends the
// session; the ERROR frame carries the text of an [*Error], and a constant text
// for any other error. ctx ends with the session.
type Handler interface {
	ServeSTOMP(ctx context.Context, r *Request) error
}

// HandlerFunc adapts a function to a Handler.
type HandlerFunc func(ctx context.Context, r *Request) error

// ServeSTOMP calls f.
func (f HandlerFunc) ServeSTOMP(ctx context.Context, r *Request) error { return f(ctx, r) }

// Request is one SEND or SUBSCRIBE to an application destination.
type Request struct {
	// Destination is the path behind /app, as it was registered: "/echo".
	Destination string
	// Subscribe is set for a SUBSCRIBE, which expects exactly one answer.
	Subscribe bool
	// Principal is the client's identity. It is never nil; an anonymous
	// principal has no name.
	Principal *auth.Principal
	// Session is the id of the client's session.
	Session string
	// Remote is the client's address, as in [SessionInfo].
	Remote netip.AddrPort
	// Headers are all headers of the frame. Headers and Body are valid only
	// until the handler returns. If the client wants its answer at a temporary
	// destination (`reply-to:/temp-queue/…`), `reply-to` is the name to which
	// anybody can send the answer, also later: see [Broker.Publish].
	Headers []frames.Header
	Body    []byte
	// Expires is when a SEND expires, by its headers: a handler that carries it
	// out later should not do so after this time. Zero means never.
	Expires time.Time

	s       *session
	sub     *subscriber
	bt      *batch // of the session's goroutine; Reply, which runs on any goroutine, must not use it
	later   *completion
	replied uint32 // 1 once Reply was called; no atomic.Bool, so that a Request can be copied
}

// Header returns the first header with that name, or "".
func (r *Request) Header(name string) string {
	f := frames.Frame{Headers: r.Headers}
	return f.Get(name)
}

// Reply sends an answer to this session only. The answer to a SUBSCRIBE goes to
// that subscription, under the destination it named. The answer to a SEND goes
// to the user destination named by m.Destination ("/queue/answers"), else by
// the `reply-to` header of the request if it names one of the client's own
// destinations ("/user/queue/answers", "/temp-queue/answers"), else to
// /user/queue followed by the path behind /app (Spring's @SendToUser with
// broadcast=false).
//
// The answer to a SEND is on its way when Reply returns, so a handler can
// report progress and continue working. The answer to a SUBSCRIBE is sent when
// the handler returns, because the RECEIPT of that SUBSCRIBE comes first. Reply
// never waits for the client. Call it before the handler returns, or before the
// done of [Request.Later] is called; several goroutines of a handler may call it
// at once.
func (r *Request) Reply(ctx context.Context, m *Message) (Delivery, error) {
	if r.sub != nil {
		return r.replyToSubscribe(m)
	}
	c := *m
	b := r.s.b
	if to := cmp.Or(c.Destination, r.Header(headerReplyTo)); b.replies.of(to, r.Session) {
		return r.replyToTemporary(ctx, &c, to)
	}
	if c.Destination == "" {
		c.Destination = "/queue" + r.Destination
		if path, ok := r.replyTo(); ok {
			c.Destination = path
		}
	}
	path, err := b.privatePath(ctx, &c)
	if err != nil {
		return Delivery{}, err
	}
	bt, p := b.begin(&c, b.userPrefix()+path)
	defer r.sent(bt)
	p.Redelivered = c.Redelivered
	return b.deliverToSession(r.Session, path, p, bt), nil
}

func (r *Request) replyToSubscribe(m *Message) (Delivery, error) {
	if r.s.b.refusesBody(m.Body) {
		return Delivery{}, ErrNUL
	}
	b := r.s.b
	bt := b.newBatch()
	defer r.sent(bt)
	p := &bt.pub
	p.set(m, r.sub.dest.Name)
	if p.ID == "" {
		p.Prefix, p.Seq = b.idPrefix, b.nextID()
	}
	f := r.s.wire.Framing()
	if !r.s.out.pushShared(p, r.sub, p.fit(f, r.sub).Frame(f, r.s.version, &r.sub.Recipient), bt) {
		return Delivery{}, ErrNoSession
	}
	b.stats.delivered.Add(1)
	return Delivery{Subscriptions: 1}, nil
}

// sent flushes the outbox that a Reply touched. Until then nothing else writes
// that outbox, not even a heart-beat, so the flush cannot wait until the
// handler returns. The first reply of a request is written here: most requests
// have one reply, and a goroutine would cost more than the write. The flusher
// collects the later replies.
func (r *Request) sent(bt *batch) {
	if atomic.SwapUint32(&r.replied, 1) != 0 {
		bt.flushLater()
		return
	}
	bt.flush()
	bt.yield()
	bt.release()
}

// replyTo returns the path named by the request's `reply-to` header. ok is
// false if the header does not name one of the client's own destinations.
func (r *Request) replyTo() (path string, ok bool) {
	d, err := r.s.b.o.names.ParseSubscription(r.Header(headerReplyTo))
	own := d.Kind == topics.UserPrivate || d.Kind == topics.UserNamed && d.User == r.Principal.Name
	return d.Path, err == nil && own && !d.Pattern
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

// Handle registers h for an application destination, which may be an Ant
// pattern: "/app/orders/*". The prefix (/app, or another of
// Options.Destinations.App) may be omitted. A SEND to /user/topic/x or
// /user/queue/x reaches the handler of /app/x. Registering the same pattern
// twice is an error. Handlers may be added at any time.
func (b *Broker) Handle(pattern string, h Handler) error {
	if h == nil {
		return errors.New("broker: Handle: nil handler")
	}
	d, err := b.o.names.Parse(pattern)
	if err != nil || d.Kind != topics.App {
		path := strings.TrimPrefix(pattern, "/app")
		if path != "" && path[0] != '/' { // /apples
			path = pattern
		}
		d, err = b.o.names.Parse(b.o.names.Prefixes().App[0] + path)
	}
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

// handle runs the handler for a SEND. later is set if the request is not handled
// yet.
func (s *session) handle(path string, d topics.Destination, f *frames.Frame, expires time.Time, bt *batch) (later *completion, fail *Error) {
	return s.serve(&Request{Destination: path, Headers: f.Headers, Body: f.Body, Expires: expires}, d, bt)
}

// handleSubscribe runs the handler for a SUBSCRIBE to /app. The SUBSCRIBE is
// answered once and not registered. Its receipt is sent before the answer, as
// for every SUBSCRIBE.
func (s *session) handleSubscribe(sub *subscriber, f *frames.Frame, bt *batch) *Error {
	sub.gated = true
	sub.mode = ackAuto
	later, fail := s.serve(&Request{Destination: sub.dest.Path, Subscribe: true, Headers: f.Headers, sub: sub}, sub.dest, bt)
	switch {
	case fail != nil:
		s.out.discard(sub)
	case later != nil:
		s.answerLater(sub, f, later)
	default:
		s.out.open(sub, s.receiptFrame(f, ""), bt)
	}
	return fail
}

func (s *session) serve(r *Request, d topics.Destination, bt *batch) (later *completion, fail *Error) {
	h := s.b.mux.find(r.Destination)
	if r.sub != nil && r.sub.present == listing {
		h = HandlerFunc(s.b.presence.answer)
	}
	if h == nil {
		if room, ok := s.b.presence.asks(d); ok && r.Subscribe {
			return nil, failure(ReasonDenied, "no presence is kept for %s (presence)", quoted(room))
		}
		return nil, failure(ReasonDenied, "nothing handles messages for this destination")
	}
	r.s, r.bt, r.Principal, r.Session = s, bt, s.principal.Load(), s.id
	r.Remote = s.peer
	var err error
	s.user(bt, func(ctx context.Context) { err = h.ServeSTOMP(ctx, r) })
	if err == nil {
		return r.later, nil
	}
	return nil, s.handlerFailed(d.Name, err)
}
