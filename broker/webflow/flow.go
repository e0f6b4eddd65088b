package webflow

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
)

// Errors of a Flow's methods. The caller knows which operation it asked about,
// so no error text contains an id.
var (
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("webflow: closed")
	// ErrOperation is returned for a malformed Operation; the text says how.
	ErrOperation = errors.New("webflow: operation")
	// ErrExists is returned if another operation has this ID or this
	// WebSocketID, or if the same operation has another owner.
	ErrExists = errors.New("webflow: the operation exists already and differs")
	// ErrUnknown is returned if the operation does not exist, has expired, or
	// is not the caller's.
	ErrUnknown = errors.New("webflow: no such operation")
	// ErrFull is returned if there are Options.MaxOperations already.
	ErrFull = errors.New("webflow: too many operations")
	// ErrResult is returned for a result that is not in Options.AuthResults.
	ErrResult = errors.New("webflow: not one of the configured results")
	// ErrDecided is returned if the operation already has a different terminal
	// result.
	ErrDecided = errors.New("webflow: the operation has its result already")
	// ErrTooOften is returned if an operation has had Options.MaxInterim
	// interim results, or is polled again before Options.PollInterval is over.
	ErrTooOften = errors.New("webflow: too often")
)

// Flow manages the operations of one broker. Their records are in
// [Options.Store], which Flows of other brokers may share. Its methods are safe
// for concurrent use.
type Flow struct {
	b         *broker.Broker
	o         Options
	derive    func(operationID string) string
	results   map[string]meaning
	run       uint64 // random, in the upper half: identifies this Flow in the numbers of results
	start     time.Time
	unobserve func()

	ctx        context.Context // ends with Close
	cancel     context.CancelFunc
	background sync.WaitGroup // watch, attend, loseAll

	mu            sync.Mutex // never held during calls to the broker, the Store or the program
	closed        bool
	byWebSocketID index[*operation]
	byID          map[string]*operation // operations whose webSocketId is not derived from their id
	creating      int                   // operations that are being created
	clients       map[string]*client    // by session id
	shares        map[shareKey]*share
	shareOf       map[*operation]*share // what unannounced operations count against
	schedule      schedule
	timer         *time.Timer
	ticking       bool
	armed         int64 // when the timer fires, 0 = not armed
	numbers       uint32
	registered    int // operations that a session connected here waits for
	callbacks     callbacks
	handedOut     sync.Cond // signalled when a result or a reply was handed out, or its session is gone

	seen     uint64                  // greatest revision that this call of Watch has reported
	reported map[*operation]struct{} // that exist, nil unless Watch is reporting them
	replayed uint64                  // greatest revision among them

	todo      []*operation // whose results wait for a goroutine to hand them out
	attending int          // goroutines that do so
	notices   []*client    // superseded, and not told yet

	unsavedLosses map[*operation]*client // ends of sessions that the Store did not take
	polled        map[*operation]int64   // when their owners last polled here
	doubts        map[string][]string    // by session id: webSocketIds that it may have registered
	doubtful      []doubtful             // the same of sessions that have ended
	resolving     bool                   // a goroutine asks the Store about them

	patience      patience
	failures      int   // of the Store, since it last answered
	failureLogged int64 // when the last of them was logged
	fullLogged    int64 // when it was last logged that the Store has no room
}

// meaning is a configured result and whether it is terminal.
type meaning struct {
	text     string
	terminal bool
}

// New adds the Web Flow destinations to b: a handler for /app/registration,
// which also gets each SEND to /user/topic/registration, and an observer of the
// sessions. It waits until the Store has reported all operations that exist.
// Stop it with [Flow.Close]. The error names the invalid field of Options, says
// that b already has such a handler, or is [ErrUnavailable].
func New(b *broker.Broker, o Options) (*Flow, error) {
	if b == nil {
		return nil, errors.New("webflow: New needs a Broker")
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	var run [4]byte
	_, _ = rand.Read(run[:]) // never fails
	ctx, cancel := context.WithCancel(context.Background())
	f := &Flow{
		b:             b,
		o:             o,
		derive:        derivation(o.HMACKey),
		results:       make(map[string]meaning, len(o.AuthResults)),
		run:           uint64(binary.BigEndian.Uint32(run[:])) << 32,
		start:         time.Now(),
		ctx:           ctx,
		cancel:        cancel,
		byWebSocketID: newIndex[*operation](),
		byID:          make(map[string]*operation),
		clients:       make(map[string]*client),
		shares:        make(map[shareKey]*share),
		shareOf:       make(map[*operation]*share),
		polled:        make(map[*operation]int64),
		unsavedLosses: make(map[*operation]*client),
		doubts:        make(map[string][]string),
	}
	f.o.HMACKey = nil // only the derive function holds the key
	for _, r := range o.AuthResults {
		f.results[r] = meaning{r, true}
	}
	for _, r := range o.Interim {
		f.results[r] = meaning{r, false}
	}
	f.callbacks.room.L = &f.mu
	f.handedOut.L = &f.mu
	if err := f.follow(); err != nil {
		return nil, err
	}
	if err := f.join(); err != nil {
		_ = f.Close() // always nil
		return nil, fmt.Errorf("webflow: %w", err)
	}
	f.loseEnded()
	return f, nil
}

// follow starts to watch the Store, and waits until the view is complete.
func (f *Flow) follow() error {
	started := make(chan error, 1)
	f.background.Go(func() { f.watch(started) })
	err := context.DeadlineExceeded
	patience := time.NewTimer(storeTimeout)
	defer patience.Stop()
	select {
	case err = <-started:
	case <-patience.C:
	}
	if err == nil {
		return nil
	}
	f.cancel()
	f.background.Wait()
	return fmt.Errorf("%w: watch: %w", ErrUnavailable, err)
}

// join adds the destinations and the observer to the broker.
func (f *Flow) join() error {
	if err := f.b.Handle("/app/registration", broker.HandlerFunc(f.serve)); err != nil {
		return err
	}
	if err := f.b.Reserve(registrationDestination, authorizationDestination); err != nil {
		return err
	}
	f.unobserve = f.b.Observe(broker.Observer{Subscribed: f.subscribed, Disconnected: f.disconnected})
	return nil
}

// Close stops the Flow: it refuses registrations and forgets all operations.
// Those in a Store that other Flows share go on there. When Close returns, all
// callbacks that were due have run and no more will. Call it before
// Broker.Close, or every session is reported as lost. Do not call it from a
// callback. It always returns nil.
func (f *Flow) Close() error {
	if f.unobserve != nil {
		f.unobserve()
	}
	f.mu.Lock()
	f.closed = true
	f.cancel()
	if f.timer != nil {
		f.timer.Stop()
	}
	f.byWebSocketID.clear()
	clear(f.byID)
	clear(f.clients)
	clear(f.shares)
	clear(f.shareOf)
	clear(f.polled)
	clear(f.unsavedLosses)
	clear(f.doubts)
	f.schedule, f.registered, f.todo, f.notices = nil, 0, nil, nil
	f.callbacks.room.Broadcast()
	f.handedOut.Broadcast()
	f.mu.Unlock()
	f.background.Wait()
	f.callbacks.running.Wait()
	return nil
}

// now returns the nanoseconds since New, never 0.
func (f *Flow) now() int64 { return int64(time.Since(f.start)) + 1 }

// wall returns the time as records have it.
func wall() int64 { return auth.Now().UnixNano() }

// Open announces an operation and returns its webSocketId. Opening it again
// with the same owner is not an error: the operation then ends at the later of
// its old and new TTL, and nothing else changes. If the mode [Open] already
// created the operation unannounced, it gets the announced owner, and a session
// owned by someone else is detached.
//
// The error is ErrOperation, ErrExists, ErrFull, ErrClosed, ErrUnavailable or
// that of ctx.
func (f *Flow) Open(ctx context.Context, o Operation) (webSocketID string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	derived, err := f.complete(&o)
	if err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	ctx, done := f.bounded(ctx)
	defer done()
	return o.WebSocketID, f.open(ctx, &o, derived)
}

// complete validates o and fills in its defaults. It returns the webSocketId
// derived from o.ID, which may differ from o.WebSocketID.
func (f *Flow) complete(o *Operation) (derived string, err error) {
	if !validText(o.ID, auth.MaxOperationBytes) {
		return "", fmt.Errorf("%w: its ID is not 1 to %d bytes of printable text", ErrOperation, auth.MaxOperationBytes)
	}
	derived = f.derive(o.ID)
	if o.WebSocketID == "" {
		o.WebSocketID = derived
	}
	if o.WebSocketID != derived && !validText(o.WebSocketID, f.o.MaxIDBytes) || len(o.WebSocketID) > f.o.MaxIDBytes {
		return "", fmt.Errorf("%w: its WebSocketID is not 1 to %d bytes of printable text", ErrOperation, f.o.MaxIDBytes)
	}
	if o.Owner.Anyone && o.Owner.User != "" {
		return "", fmt.Errorf("%w: its Owner sets both User and Anyone", ErrOperation)
	}
	if o.TTL == 0 {
		o.TTL = f.o.TTL
	}
	if o.TTL < 0 || o.TTL > MaxTTL {
		return "", fmt.Errorf("%w: its TTL is not between 0 and %v", ErrOperation, MaxTTL)
	}
	return derived, nil
}

// open creates the operation that o announces, or extends or adopts the one
// that exists. The caller has the lock, which open releases.
func (f *Flow) open(ctx context.Context, o *Operation, derived string) error {
	if f.closed {
		return ErrClosed
	}
	known := f.find(o.ID, derived)
	if known != nil && known.rec.WebSocketID != o.WebSocketID {
		if exists, err := f.exists(ctx, known); err != nil {
			return err
		} else if exists {
			return ErrExists
		}
	}
	err := ErrExists
	if known == nil && (o.WebSocketID == derived || f.byWebSocketID.get(o.WebSocketID) == nil) {
		err = f.announce(ctx, o, derived)
	}
	for range maxEnds {
		if !errors.Is(err, ErrExists) {
			break
		}
		var op *operation
		if op, err = f.lookUpWebSocketID(ctx, o.WebSocketID); err == nil {
			if err = f.reopen(ctx, op, o, derived); errors.Is(err, ErrExists) {
				return err
			}
		}
		if errors.Is(err, ErrUnknown) { // it has just ended, or another one has its ID
			err = f.announce(ctx, o, derived)
		}
	}
	return err
}

// maxEnds is how often an operation may end while it is announced, before the
// announcement is refused.
const maxEnds = 3

// reopen extends or adopts an operation that exists. The caller has the lock,
// which reopen releases.
func (f *Flow) reopen(ctx context.Context, op *operation, o *Operation, derived string) error {
	_, err := f.change(ctx, op, func(now *Record) (*Record, error) {
		if now.ID != "" && now.ID != o.ID || !now.Unannounced && now.Owner != o.Owner {
			return nil, ErrExists
		}
		next := op.copy()
		next.adopt(o, derived)
		if int64(o.TTL) > op.expires-f.now() {
			next.Expires = wall() + int64(o.TTL)
		}
		return next, nil
	})
	return err
}

// announce creates the operation that o announces. The caller has the lock,
// which announce releases.
func (f *Flow) announce(ctx context.Context, o *Operation, derived string) error {
	r := &Record{WebSocketID: o.WebSocketID, Owner: o.Owner, Expires: wall() + int64(o.TTL)}
	r.named(o.ID, derived)
	op, err := f.create(ctx, r)
	if err != nil || !r.Named {
		return err
	}
	// The Store cannot know that another operation has this id by derivation.
	other, err := f.lookUpWebSocketID(ctx, derived)
	switch {
	case errors.Is(err, ErrUnknown):
		return nil
	case err == nil && (other == op || other.rec.ID != o.ID):
		return nil
	case err != nil:
		return err
	}
	_, _ = f.change(ctx, op, func(*Record) (*Record, error) { return ended, nil }) // it expires otherwise
	return ErrExists
}

// Results returns a copy of Options.AuthResults, the results that may be
// reported.
func (f *Flow) Results() []string { return slices.Clone(f.o.AuthResults) }

// Stats is a snapshot of a Flow's counts.
type Stats struct {
	Operations int // all operations in the Store, registered or not
	Registered int // operations that a session connected to this broker waits for
	Sessions   int // sessions with a registered operation or a held reply
}

// Stats returns the current counts.
func (f *Flow) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Stats{Operations: f.byWebSocketID.size(), Registered: f.registered, Sessions: len(f.clients)}
}
