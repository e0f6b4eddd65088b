package broker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/hoofbeat/hoofbeat/broker/internal/loglimit"
	"github.com/hoofbeat/hoofbeat/broker/internal/workqueue"
	"github.com/hoofbeat/hoofbeat/topics"
)

// userPrefix begins every user destination.
const userPrefix = "/user"

// Broker routes messages between sessions, and between them and the program it
// is part of. It is an [http.Handler] for WebSocket and can listen on TCP. All
// methods are safe for concurrent use.
type Broker struct {
	o         Options
	origins   origins
	router    *topics.Router[*subscription]
	queues    *queueStore
	mux       mux
	flusher   flusher
	sweeper   *sweeper
	stats     counters
	caps      caps
	throttle  throttle
	watchers  watchers
	selectors selectors
	quiet     loglimit.Limiter // of records that clients can cause

	idPrefix string
	ids      atomic.Uint64
	started  time.Time

	unwatch func()          // of Options.Store, nil without
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc

	mu        sync.Mutex
	draining  bool // takes no new sessions
	closing   bool // Close has begun: takes no new subscriptions
	closed    bool // starts no goroutine
	sessions  map[string]*session
	locals    map[*Subscription]struct{}
	listeners map[interface{ Close() error }]struct{}
	running   sync.WaitGroup
}

// New returns a running Broker; end it with [Broker.Close]. The error names the
// field of Options that is wrong.
func New(o Options) (*Broker, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	run := uuid.NewString() // message-ids of another run are others
	b := &Broker{
		o:         o,
		router:    topics.NewRouter[*subscription](),
		idPrefix:  run[:8] + "-",
		started:   time.Now(),
		sessions:  make(map[string]*session),
		locals:    make(map[*Subscription]struct{}),
		listeners: make(map[interface{ Close() error }]struct{}),
	}
	b.origins, _ = compileOrigins(o.Origins) // checked by withDefaults
	b.queues = workqueue.New[*Message, *batch](queueLimits(o.Queues), deadLetter)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.caps.init(o.Limits)
	b.mux.literal = map[string]Handler{
		sessionRefresh[len("/app"):]: HandlerFunc(b.refresh),
		bootstrap[len("/app"):]:      HandlerFunc(b.bootstrap),
	}
	b.sweeper = newSweeper(b)
	b.spawn(b.sweeper.run)
	if o.Store != nil {
		b.unwatch = o.Store.Watch(b.endRevoked)
	}
	return b, nil
}

// now returns the broker's clock in nanoseconds since New: monotonic, cheap,
// and as coarse as the sweeper's tick.
func (b *Broker) now() int64 { return b.sweeper.clock.Load() }

func (b *Broker) nextID() uint64 { return b.ids.Add(1) }

// spawn starts every goroutine of the broker, so that Close can wait for them.
// It reports false after Close.
func (b *Broker) spawn(f func()) bool {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return false
	}
	b.running.Add(1)
	b.mu.Unlock()
	go func() {
		defer b.running.Done()
		f()
	}()
	return true
}

func (b *Broker) accepting() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	if b.draining {
		return ErrDraining
	}
	return nil
}

func (b *Broker) addSession(s *session) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	if b.draining {
		return ErrDraining
	}
	b.sessions[s.id] = s
	b.stats.opened.Add(1)
	return nil
}

func (b *Broker) removeSession(s *session) {
	b.mu.Lock()
	delete(b.sessions, s.id)
	b.mu.Unlock()
}

// session returns a connected session.
func (b *Broker) session(id string) *session {
	b.mu.Lock()
	s := b.sessions[id]
	b.mu.Unlock()
	if s == nil || phase(s.phase.Load()) != phaseOpen {
		return nil
	}
	return s
}

// join and leave keep the user registry.
func (b *Broker) join(s *session) {
	b.router.Join(s.userName(), s.id) // anonymous sessions are left out
	b.stats.connected.Add(1)
}

func (b *Broker) leave(s *session) {
	b.router.Leave(s.userName(), s.id)
	b.stats.connected.Add(-1)
}

func (b *Broker) addLocal(l *Subscription) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return ErrClosed
	}
	b.locals[l] = struct{}{}
	return nil
}

func (b *Broker) removeLocal(l *Subscription) {
	b.mu.Lock()
	delete(b.locals, l)
	b.mu.Unlock()
}

// Ready returns nil while the broker takes new sessions, and why not otherwise.
func (b *Broker) Ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.accepting()
}

// Disconnect ends a session: its client gets an ERROR with the text and close
// code 1008. ErrNoSession says that there is none with this id.
func (b *Broker) Disconnect(session, text string) error {
	s := b.session(session)
	if s == nil {
		return ErrNoSession
	}
	if text == "" {
		text = "session ended by the operator"
	}
	s.endNow(&Error{Reason: ReasonKicked, Message: text})
	return nil
}

// Drain takes no new sessions and ends the others, spread evenly over the time
// that ctx leaves (10 s if it has no deadline, and a fifth of it is kept for
// the last to go), so that not everybody reconnects at once: what is in their
// outboxes is written first, then they are closed with 1012, "reconnect". It
// returns when all have gone, or with the error of ctx.
func (b *Broker) Drain(ctx context.Context) error {
	b.mu.Lock()
	b.draining = true
	all := make([]*session, 0, len(b.sessions))
	for _, s := range b.sessions {
		all = append(all, s)
	}
	b.closeListeners()
	b.mu.Unlock()
	b.o.Logger.Info("draining", "sessions", len(all))
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })

	window := 10 * time.Second
	if d, ok := ctx.Deadline(); ok {
		window = time.Until(d)
	}
	if err := endSpread(ctx, all, window*8/10); err != nil {
		return fmt.Errorf("broker: drain: %w", err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if b.count() == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("broker: drain: %d sessions left: %w", b.count(), ctx.Err())
		}
	}
}

// endSpread ends the sessions in steps of at least 10 ms. A handful goes at once.
func endSpread(ctx context.Context, all []*session, window time.Duration) error {
	if len(all) <= 100 {
		window = 0
	}
	start := time.Now()
	for i, s := range all {
		due := time.Duration(float64(window) * float64(i) / float64(len(all)))
		if wait := due - time.Since(start); wait > 10*time.Millisecond {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		s.endNow(&Error{Reason: ReasonDraining, Message: "the broker is going away, reconnect"})
	}
	return nil
}

func (b *Broker) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sessions)
}

// Close ends every session and in-process subscription with a short goodbye and
// returns when no goroutine of the broker is left. Messages in queues are gone.
// For a graceful end call Drain first. It always returns nil.
func (b *Broker) Close() error {
	b.mu.Lock()
	if b.closing {
		b.mu.Unlock()
		b.running.Wait()
		return nil
	}
	b.draining, b.closing = true, true
	sessions := make([]*session, 0, len(b.sessions))
	for _, s := range b.sessions {
		sessions = append(sessions, s)
	}
	locals := make([]*Subscription, 0, len(b.locals))
	for l := range b.locals {
		locals = append(locals, l)
	}
	b.closeListeners()
	b.mu.Unlock()
	if b.unwatch != nil {
		b.unwatch()
	}

	bt := b.newBatch()
	for _, s := range sessions {
		s.end(&Error{Reason: ReasonDraining, Message: "the broker is going away, reconnect"}, "", bt)
	}
	bt.flush()
	bt.release()
	for _, l := range locals {
		l.end(ErrClosed)
	}
	b.cancel() // handlers and hooks see the end
	deadline := time.NewTimer(b.o.LingerTimeout + time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for waiting := true; waiting && b.count() > 0; {
		select {
		case <-tick.C:
		case <-deadline.C:
			waiting = false
		}
	}
	b.mu.Lock()
	b.closed = true
	var aborts sync.WaitGroup
	for _, s := range b.sessions {
		aborts.Go(s.wire.abort)
	}
	b.mu.Unlock()
	aborts.Wait()
	b.running.Wait()
	return nil
}

func (b *Broker) closeListeners() {
	for l := range b.listeners {
		_ = l.Close() // it stops accepting; there is nothing else to do about it
	}
}
