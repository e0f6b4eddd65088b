package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/auth/loglimit"
	"github.com/hoofbeat/hoofbeat/broker"
)

// errLinksClosed is the error of a SUBSCRIBE that waits while the links close.
var errLinksClosed = errors.New("cluster: the links are closed")

// envelopeRoom is what an envelope and its headers may add to a frame.
const envelopeRoom = 16 << 10

// LinksOptions configure [NewLinks]. Conn is required.
type LinksOptions struct {
	// Conn is a connection of its own: what is published on one connection stays
	// in order, and nothing else may delay it.
	Conn *nats.Conn
	// Name is what operators call this node, at most 255 bytes. Other nodes show
	// it; nothing depends on it. Default is the id of the broker.
	Name string
	// Prefix begins all subjects. Default "hb".
	Prefix string
	// Beat is the time between two heart-beats. A node of which three are missed
	// is not live. Default one second.
	Beat time.Duration
	// Deadline is how long a node may take to confirm an interest before it
	// counts as not live, and to answer a question. Default one second.
	Deadline time.Duration
	// Backlog bounds the bytes that have come from other nodes and wait to be
	// delivered. What comes beyond it is lost, and counted. Default 64 MiB.
	Backlog int
	// Interests bounds how many subjects the node subscribes to, each of which
	// costs it 1.1 KiB and every other node 0.7 KiB. Beyond it, subjects that
	// begin alike are replaced by one that covers them: the node gets messages that
	// nobody there wants, and drops them. They are separate again when half as
	// many are enough. Default 50,000.
	Interests int
	// Logger gets the nodes that come and go, and what was lost. Nil means no
	// logging.
	Logger *slog.Logger
}

// Links join the topics and users of a broker to those of others, over NATS:
// they are a [broker.Relay] and [broker.Directed]. Of a message, another broker gets one copy if it has a
// subscriber for it. While a link is broken what is published is lost for the
// brokers behind it, as it is for a client that is not connected.
//
// Create them with [NewLinks], give them to [broker.New], and close them after
// the broker.
type Links struct {
	o       LinksOptions
	subject subjects
	peer    broker.Peer
	log     *slog.Logger
	quiet   loglimit.Limiter

	data           chan *nats.Msg // messages
	control        chan *nats.Msg // notes, which never wait behind messages
	replies        chan *nats.Msg // to questions
	repliesFrom    *nats.Subscription
	repliesDropped int // of listen only
	lanes          []*mailbox[[]byte]
	waiting        atomic.Int64         // bytes in all lanes
	numbers        numbers              // used by receive only
	always         []*nats.Subscription // to notes

	refused atomic.Pointer[map[string]struct{}] // ids of strangers

	protocol   int
	born       time.Time
	publishing sync.Mutex // numbers have the order of the connection
	number     uint64
	batchSize  int // up to which publications share a message

	counts struct {
		sent, received, copies, dropped, unreadable atomic.Uint64
	}

	mu        sync.Mutex
	wanted    map[string]interest
	leaving   []leaver
	held      map[string]*subscription
	folds     map[string]*fold    // by their prefix
	going     int                 // how many of held a fold will replace
	changes   []change            // wait for the next barrier
	early     map[uint64]struct{} // reports that came before earlier ones
	applied   uint64              // all reports up to this one have arrived
	settled   uint64              // and up to this one, all live nodes know
	changed   bool                // a subject was added since the last barrier
	joins     uint64              // counts what unsettles everything
	waiters   []waiter
	barrier   *barrier
	barriers  uint64
	nodes     map[string]*member
	strangers map[string]*stranger
	users     userInterests
	asks      asks
	since     time.Time // of this node
	started   bool
	closed    bool

	kick    chan struct{} // something waits for a barrier
	done    chan struct{}
	running sync.WaitGroup
}

// NewLinks returns links that do nothing until [broker.New] starts them.
func NewLinks(o LinksOptions) (*Links, error) {
	if o.Conn == nil {
		return nil, errors.New("cluster: LinksOptions.Conn is required")
	}
	if len(o.Name) > longestName {
		return nil, fmt.Errorf("cluster: LinksOptions.Name has %d bytes, more than %d", len(o.Name), longestName)
	}
	if o.Prefix == "" {
		o.Prefix = "hb"
	}
	if o.Beat <= 0 {
		o.Beat = time.Second
	}
	if o.Deadline <= 0 {
		o.Deadline = time.Second
	}
	if o.Backlog <= 0 {
		o.Backlog = 64 << 20
	}
	if o.Interests <= 0 {
		o.Interests = 50_000
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	speaks, err := speaks()
	if err != nil {
		return nil, err
	}
	l := &Links{
		protocol: speaks, strangers: make(map[string]*stranger),
		o: o, subject: subjects{o.Prefix}, log: o.Logger,
		data: make(chan *nats.Msg, 1<<16), control: make(chan *nats.Msg, 1<<10), replies: make(chan *nats.Msg, 1<<16),
		numbers: numbers{last: make(map[string]*published)}, born: time.Now(),
		wanted: make(map[string]interest), held: make(map[string]*subscription), folds: make(map[string]*fold),
		early: make(map[uint64]struct{}), nodes: make(map[string]*member),
		kick: make(chan struct{}, 1), done: make(chan struct{}),
	}
	l.asks.open, l.asks.calls = make(map[uint64]*query), newMailbox[func()]()
	return l, nil
}

// Start is called by [broker.New].
func (l *Links) Start(p broker.Peer) error {
	if len(p.Node) != nodeIDSize {
		return fmt.Errorf("cluster: the node id %q has not %d characters", p.Node, nodeIDSize)
	}
	if limit := l.o.Conn.MaxPayload(); int64(p.Frame)+envelopeRoom > limit {
		return fmt.Errorf("cluster: a frame of %d bytes (Limits.Frame) does not fit into a message of NATS: max_payload is %d and must be at least %d", p.Frame, limit, p.Frame+envelopeRoom)
	}
	l.mu.Lock()
	if l.started || l.closed {
		l.mu.Unlock()
		return errors.New("cluster: links serve one broker, once")
	}
	l.started, l.peer, l.since = true, p, time.Now()
	l.batchSize = int(min(largestBatch, l.o.Conn.MaxPayload()))
	l.mu.Unlock()
	for range min(4, runtime.GOMAXPROCS(0)) {
		l.lanes = append(l.lanes, newMailbox[[]byte]())
	}
	for _, subject := range []string{l.subject.all(), l.subject.node(p.Node)} {
		s, err := l.o.Conn.ChanSubscribe(subject, l.control)
		if err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
		l.always = append(l.always, s)
	}
	if err := l.listenDirected(); err != nil {
		return err
	}
	if err := l.o.Conn.Publish(l.subject.all(), l.traits(note{noteHello, p.Node, 0})); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	for _, lane := range l.lanes {
		l.running.Go(func() { l.run(lane) })
	}
	l.running.Go(l.receive)
	l.running.Go(l.listen)
	l.running.Go(l.settle)
	l.running.Go(l.hearReplies)
	l.running.Go(l.asks.run)
	return nil
}

// lost counts messages that some node should have had.
func (l *Links) lost(n uint64, why string, err error) {
	l.counts.dropped.Add(n)
	attrs := []any{"reason", why}
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	l.quiet.Log(context.Background(), l.log, slog.LevelWarn, loglimit.Key{Kind: "messages between nodes were lost"}, attrs...)
}

// Close says good-bye to the other nodes and returns when no goroutine of the
// links is left. It does not close the connection. Close the broker before.
func (l *Links) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		l.running.Wait()
		return nil
	}
	l.closed = true
	waiters, held, folds, changes := l.takeWaiters(), l.held, l.folds, l.changes
	l.held, l.folds, l.changes = nil, nil, nil
	l.mu.Unlock()
	close(l.done)
	for _, w := range waiters {
		w.done(errLinksClosed)
	}
	l.closeUsers()
	var failed []error
	for _, s := range held {
		failed = append(failed, s.sub.Unsubscribe())
	}
	for _, f := range folds {
		failed = append(failed, f.sub.Unsubscribe())
	}
	for _, c := range changes {
		if c.end != nil {
			failed = append(failed, c.end.Unsubscribe())
		}
	}
	for _, s := range l.always {
		failed = append(failed, s.Unsubscribe())
	}
	if l.peer.Node != "" {
		failed = append(failed, l.o.Conn.Publish(l.subject.all(), note{noteBye, l.peer.Node, 0}.encode()))
	}
	for _, lane := range l.lanes {
		lane.close()
	}
	l.running.Wait()
	if l.o.Conn.IsClosed() {
		return nil // nobody hears a good-bye
	}
	return errors.Join(failed...)
}

// LinkStats are counts since the links were started.
type LinkStats struct {
	Interests  int    // destinations and patterns with subscribers here, or lately
	Subjects   int    // subscribed to now
	Folds      int    // of them, those that stand for many
	Sent       uint64 // messages handed to other nodes, whether or not one wanted them
	Received   uint64 // messages of other nodes, each once
	Copies     uint64 // further copies, since several interests match
	Dropped    uint64 // messages lost here, on their way to or from other nodes
	Unreadable uint64 // messages of nodes with a protocol of which this node is too far, or no messages
	Publishers int    // runs of other nodes that have published lately
}

// Stats returns the counts.
func (l *Links) Stats() LinkStats {
	c := &l.counts
	s := LinkStats{Sent: c.sent.Load(), Received: c.received.Load(), Copies: c.copies.Load(), Dropped: c.dropped.Load(), Unreadable: c.unreadable.Load()}
	s.Publishers = int(l.numbers.size.Load())
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Interests, s.Subjects, s.Folds = len(l.wanted), len(l.held)+len(l.folds), len(l.folds)
	count := func(sub *nats.Subscription) {
		if n, err := sub.Dropped(); err == nil {
			s.Dropped += uint64(n) //nolint:gosec // a count
		}
	}
	for _, h := range l.held {
		count(h.sub)
	}
	for _, f := range l.folds {
		count(f.sub)
	}
	return s
}
