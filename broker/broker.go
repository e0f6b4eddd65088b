package broker

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/loglimit"
	"github.com/hoofbeat/hoofbeat/broker/internal/admission"
	"github.com/hoofbeat/hoofbeat/broker/internal/clock"
	"github.com/hoofbeat/hoofbeat/broker/internal/dedup"
	"github.com/hoofbeat/hoofbeat/topics"
)

// userPrefix returns the prefix of every user destination.
func (b *Broker) userPrefix() string { return b.o.names.Prefixes().User }

// handlers reports whether a destination belongs to the application handlers.
func (b *Broker) handlers(name string) bool {
	d, err := b.o.names.Parse(name)
	return err == nil && d.Kind == topics.App
}

// appName returns the canonical destination of a handler's path.
func (b *Broker) appName(path string) string {
	return topics.Collapse(b.o.names.Prefixes().App[0] + path)
}

// Broker routes messages between sessions, and between sessions and the program
// that embeds it. It is an [http.Handler] for WebSocket and can listen on TCP.
// All methods are safe for concurrent use.
type Broker struct {
	o            Options
	policy       atomic.Pointer[policy]
	router       *topics.Router[*subscriber]
	queues       queues
	mux          mux
	replies      replies
	flusher      flusher
	bulk         flusher // of large batches, so that nobody else waits for these
	sweeper      *clock.Sweeper[session]
	rechecks     rechecks
	stats        counters
	gate         *admission.Gate // who may open a session
	watchers     watchers
	selectors    selectors
	histories    []topicSet    // of Options.History
	archives     []*archive    // one for each of them
	replays      atomic.Int32  // subscriptions that read history now
	replaySlots  chan struct{} // a processor for each of them that works
	budget       replayBudget  // for what they add to outboxes
	durables     *durables
	reserved     reserved
	nodes        atomic.Pointer[[]Node] // see SetNodes
	presence     *presence              // nil without Options.Presence
	directed     Directed               // Options.Relay, if it is one
	relayBatches BatchRelay             // Options.Relay, if it is one
	once         *dedup.Window          // ids of accepted messages
	delays       delays
	quiet        loglimit.Limiter // limits log records that clients can cause
	visits       loglimit.Limiter // limits log records about the start and end of anonymous sessions
	denials      denials

	nodeID   string // of this run; see newNodeID
	idPrefix string // of message-ids
	ids      atomic.Uint64
	started  time.Time

	unwatch func()          // stops watching Options.Revocations; nil without it
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc

	retiring atomic.Bool // Drain has begun; Ready reports it

	mu        sync.Mutex
	draining  bool // accepts no new sessions
	closing   bool // Close has begun; accepts no new subscriptions
	closed    bool // accepts no new sessions and starts no goroutine
	sessions  map[string]*session
	locals    map[*Subscription]struct{}
	listeners map[*listener]struct{}

	credentials credentialIndex
	quotas      quotas
	slow        distinct // patterns

	spawnMu sync.Mutex
	stopped bool // starts no goroutine
	running sync.WaitGroup
	ended   chan struct{} // closed at the end of Close
}

// New returns a running Broker; stop it with [Broker.Close]. The error names
// the invalid field of Options.
func New(o Options) (*Broker, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	node := newNodeID()
	b := &Broker{
		o:           o,
		router:      topics.NewRouter[*subscriber](),
		nodeID:      node,
		idPrefix:    node + "-",
		once:        dedup.New(),
		replaySlots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		started:     time.Now(),
		ended:       make(chan struct{}),
		sessions:    make(map[string]*session),
		locals:      make(map[*Subscription]struct{}),
		listeners:   make(map[*listener]struct{}),
	}
	b.directed, _ = o.Relay.(Directed)
	b.relayBatches, _ = o.Relay.(BatchRelay)
	b.policy.Store(newPolicy(&b.o))
	b.budget.b = b
	b.queues = b.newQueues()
	if b.histories, b.archives, err = newArchives(&b.o, func() int64 { return int64(time.Since(b.started)) }); err != nil {
		return nil, err
	}
	if b.durables, err = newDurables(b); err != nil {
		return nil, err
	}
	if b.presence, err = newPresence(b); err != nil {
		return nil, err
	}
	b.delays = b.newDelays()
	if store := b.o.QueueStore; store != nil {
		b.remember(store)
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	if err := b.openHistories(); err != nil {
		b.cancel()
		return nil, err
	}
	b.gate = admission.New(admission.Config{
		Authenticator: o.Authenticator, Revoked: b.revoked, Names: o.names, Users: b.router, Panicked: b.hookPanicked,
		ConnectDeadline: o.ConnectDeadline, FailureWait: o.FailureWait, FailureDecay: o.FailureDecay,
	})
	b.gate.SetLimits(admissionLimits(o.Limits))
	b.mux.literal = map[string]Handler{
		sessionRefresh: HandlerFunc(b.refresh),
		bootstrap:      HandlerFunc(b.bootstrap),
	}
	for _, name := range []string{sessionNotices, softErrors} {
		if err := b.Reserve(name); err != nil {
			return nil, err
		}
	}
	if err := b.durables.begin(); err != nil {
		b.cancel()
		b.closeHistories()
		return nil, err
	}
	b.sweeper = newSweeper(&b.o)
	b.spawn(b.runSweeper)
	if len(b.archives) > 0 {
		b.every(time.Second, b.expireHistory)
	}
	b.every(expirySweep, b.sweepQueues)
	if o.Revocations != nil {
		b.unwatch = o.Revocations.Watch(b.endRevoked)
	}
	if err := b.joinRelay(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if d, ok := b.delays.(*storedDelays); ok {
		d.open()
	}
	return b, nil
}

// now returns the broker's clock in nanoseconds since New: monotonic, cheap,
// and as coarse as the sweeper's tick.
func (b *Broker) now() int64 { return b.sweeper.Now() }

// uptime is the same clock.
func (b *Broker) uptime() time.Duration { return time.Duration(b.now()) }

func (b *Broker) nextID() uint64 { return b.ids.Add(1) }

// spawn runs f on a new goroutine. The broker starts all its goroutines here,
// so that Close can wait for them. It reports false after Close.
func (b *Broker) spawn(f func()) bool {
	b.spawnMu.Lock()
	if b.stopped {
		b.spawnMu.Unlock()
		return false
	}
	b.running.Add(1)
	b.spawnMu.Unlock()
	go func() {
		defer b.running.Done()
		f()
	}()
	return true
}

// every runs f at an interval until the broker ends.
func (b *Broker) every(interval time.Duration, f func()) {
	b.spawn(func() {
		t := time.NewTicker(interval)
		defer t.Stop()
		for {
			select {
			case <-b.ctx.Done():
				return
			case <-t.C:
				f()
			}
		}
	})
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

// session returns the connected session with this id, or nil.
func (b *Broker) session(id string) *session {
	b.mu.Lock()
	s := b.sessions[id]
	b.mu.Unlock()
	if s == nil || phase(s.phase.Load()) != phaseOpen {
		return nil
	}
	return s
}

// join counts a connected session. The session already has its seat and is
// therefore in the registry of users.
func (b *Broker) join(user string) {
	b.stats.connected.Add(1)
	if b.directed != nil && user != "" {
		b.directed.Join(user)
	}
}

// leave releases the seat of a session.
func (b *Broker) leave(s *session) {
	user := s.userName()
	b.gate.LeaveSeat(s.peer.Addr(), user, s.id)
	b.stats.connected.Add(-1)
	if b.directed != nil && user != "" {
		b.directed.Leave(user)
	}
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

// Ready returns nil while the broker accepts new clients. Otherwise it returns
// the reason: [ErrDraining] from the start of [Broker.Drain], [ErrClosed] after
// [Broker.Close], or the error of ctx.
func (b *Broker) Ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.accepting(); err != nil {
		return err
	}
	if b.retiring.Load() {
		return ErrDraining
	}
	return nil
}
