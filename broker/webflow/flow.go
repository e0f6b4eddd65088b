package webflow

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
)

// Errors of a Flow's methods. Which operation they are about the caller knows:
// no text holds an id.
var (
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("webflow: closed")
	// ErrOperation says that an Operation is malformed; the text says how.
	ErrOperation = errors.New("webflow: operation")
	// ErrExists says that there is another operation with this ID or this
	// WebSocketID, or the same one with another owner.
	ErrExists = errors.New("webflow: the operation exists already and differs")
	// ErrUnknown says that there is no such operation, or that it has expired,
	// or that it is not the caller's.
	ErrUnknown = errors.New("webflow: no such operation")
	// ErrFull says that there are Options.MaxOperations.
	ErrFull = errors.New("webflow: too many operations")
	// ErrResult says that a result is not one of Options.AuthResults.
	ErrResult = errors.New("webflow: not one of the configured results")
	// ErrDecided says that the operation has another terminal result already.
	ErrDecided = errors.New("webflow: the operation has its result already")
	// ErrTooOften says that an operation had Options.MaxInterim interim results,
	// or is polled again before Options.PollInterval is over.
	ErrTooOften = errors.New("webflow: too often")
)

// Flow keeps the operations of one broker. Its methods are safe for concurrent
// use. Operations live in memory.
type Flow struct {
	b         *broker.Broker
	o         Options
	derive    func(operationID string) string
	results   map[string]meaning
	messages  string // begins the message-ids of this run
	start     time.Time
	unobserve func()

	mu            sync.Mutex // never held while the broker or the program is called
	closed        bool
	byWebSocketID map[string]*operation
	byID          map[string]*operation // those whose webSocketId is not derived from their id
	clients       map[string]*client    // by session
	shares        map[shareKey]*share
	schedule      schedule
	timer         *time.Timer
	armed         int64 // when the timer fires, 0 if it does not
	numbers       uint64
	registered    int // operations that a connected session waits for
	callbacks     callbacks
	handedOut     sync.Cond // whoever handed out a result is done, or its page is gone
}

// meaning is what the configuration says of a result.
type meaning struct {
	text     string
	terminal bool
}

// New adds registration and authorization to b: the handler for
// /app/registration, which also gets what is sent to /user/topic/registration,
// and an observer of its sessions. End it with [Flow.Close]. The error names the
// field of Options that is wrong, or says that b has such a handler already.
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
	f := &Flow{
		b:             b,
		o:             o,
		derive:        derivation(o.HMACKey),
		results:       make(map[string]meaning, len(o.AuthResults)),
		messages:      "wf-" + hex.EncodeToString(run[:]) + "-",
		start:         time.Now(),
		byWebSocketID: make(map[string]*operation),
		byID:          make(map[string]*operation),
		clients:       make(map[string]*client),
		shares:        make(map[shareKey]*share),
	}
	f.o.HMACKey = nil // it is in derive
	for _, r := range o.AuthResults {
		f.results[r] = meaning{r, true}
	}
	for _, r := range o.Interim {
		f.results[r] = meaning{r, false}
	}
	f.callbacks.room.L = &f.mu
	f.handedOut.L = &f.mu
	if err := b.Handle("/app/registration", broker.HandlerFunc(f.serve)); err != nil {
		return nil, fmt.Errorf("webflow: %w", err)
	}
	if err := b.Reserve(registrationDestination, authorizationDestination); err != nil {
		return nil, fmt.Errorf("webflow: %w", err)
	}
	f.unobserve = b.Observe(broker.Observer{Subscribed: f.subscribed, Disconnected: f.disconnected})
	return f, nil
}

// Close ends the Flow: registrations are refused, operations forgotten, and no
// callback runs any more when it returns; those that were due have run. Call it
// before the Close of the broker, or every session is reported as lost, and not
// from a callback. It always returns nil.
func (f *Flow) Close() error {
	f.unobserve()
	f.mu.Lock()
	f.closed = true
	if f.timer != nil {
		f.timer.Stop()
	}
	clear(f.byWebSocketID)
	clear(f.byID)
	clear(f.clients)
	clear(f.shares)
	f.schedule, f.registered = nil, 0
	f.callbacks.room.Broadcast()
	f.handedOut.Broadcast()
	f.mu.Unlock()
	f.callbacks.running.Wait()
	return nil
}

// now is the time since New in nanoseconds, never 0.
func (f *Flow) now() int64 { return int64(time.Since(f.start)) + 1 }

// Open announces an operation and returns its webSocketId. To open it again with
// the same owner is no error: its end is put off to the new TTL, if that is later,
// and nothing else changes. An operation that the mode [Open] has taken up unannounced
// gets the owner it should have, and a session that is not his loses it.
//
// The error is ErrOperation, ErrExists, ErrFull, ErrClosed or that of ctx.
func (f *Flow) Open(ctx context.Context, o Operation) (webSocketID string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	derived, err := f.complete(&o)
	if err != nil {
		return "", err
	}
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return "", ErrClosed
	}
	op, err := f.open(&o, derived)
	var evicted *client
	if err == nil {
		evicted = f.adopt(op, &o, derived)
		op.expires = max(op.expires, f.now()+int64(o.TTL))
		f.reschedule(op)
	}
	f.mu.Unlock()
	if evicted != nil {
		f.flush(evicted, nil)
	}
	return o.WebSocketID, err
}

// complete checks o and fills in what it leaves out. It returns the webSocketId
// derived from its ID, which may be another than o's.
func (f *Flow) complete(o *Operation) (derived string, err error) {
	if !validText(o.ID, auth.MaxOperationBytes) {
		return "", fmt.Errorf("%w: its ID is not 1 to %d bytes of printable text", ErrOperation, auth.MaxOperationBytes)
	}
	derived = f.derive(o.ID)
	if o.WebSocketID == "" {
		o.WebSocketID = derived
	}
	if !validText(o.WebSocketID, f.o.MaxIDBytes) {
		return "", fmt.Errorf("%w: its WebSocketID is not 1 to %d bytes of printable text", ErrOperation, f.o.MaxIDBytes)
	}
	if o.Owner.Anyone && o.Owner.User != "" {
		return "", fmt.Errorf("%w: its Owner is a user and anyone", ErrOperation)
	}
	if o.TTL == 0 {
		o.TTL = f.o.TTL
	}
	if o.TTL < 0 || o.TTL > MaxTTL {
		return "", fmt.Errorf("%w: its TTL is not between 0 and %v", ErrOperation, MaxTTL)
	}
	return derived, nil
}

// open returns the operation that o announces, new or known. The caller has the lock.
func (f *Flow) open(o *Operation, derived string) (*operation, error) {
	if known := f.find(o.ID, derived); known != nil && known.webSocketID != o.WebSocketID {
		return nil, ErrExists
	}
	op := f.byWebSocketID[o.WebSocketID]
	switch {
	case op == nil:
		op = &operation{id: o.ID, webSocketID: o.WebSocketID, owner: o.Owner, expires: f.now() + int64(o.TTL)}
		return op, f.add(op, derived)
	case op.id != "" && op.id != o.ID, !op.unannounced && op.owner != o.Owner:
		return nil, ErrExists
	}
	return op, nil
}

// add makes an operation known. The caller has the lock.
func (f *Flow) add(op *operation, derived string) error {
	if len(f.byWebSocketID) >= f.o.MaxOperations {
		return ErrFull
	}
	f.byWebSocketID[op.webSocketID] = op
	f.name(op, derived)
	f.enter(op)
	return nil
}

// name makes op known by its id, if that is not to be seen from its webSocketId.
func (f *Flow) name(op *operation, derived string) {
	if op.id != "" && op.webSocketID != derived {
		f.byID[op.id] = op
	}
}

// adopt gives an operation that was taken up unannounced what o says of it. The
// session that is not the owner's is returned: it was told so. The caller has the lock.
func (f *Flow) adopt(op *operation, o *Operation, derived string) (evicted *client) {
	if !op.unannounced {
		return nil
	}
	f.giveBack(op)
	op.unannounced, op.id, op.owner = false, o.ID, o.Owner
	f.name(op, derived)
	c := op.at
	if op.registered() && f.mayRegister(op, c.principal, c.session, "") {
		return nil
	}
	// Whoever had it cannot poll it any more, and the owner still gets what the
	// other has acknowledged.
	_, _ = rand.Read(op.token[:]) // never fails
	op.result.acked = false
	if !op.registered() {
		return nil
	}
	f.supersede(op)
	return c
}

// find returns the operation with that id, from which derived is derived: not
// under the lock, which that takes longer than everything else. The caller has
// the lock.
func (f *Flow) find(id, derived string) *operation {
	if op := f.byID[id]; op != nil {
		return op
	}
	op := f.byWebSocketID[derived]
	if op == nil || op.id != "" && op.id != id {
		return nil
	}
	return op
}

// remove forgets an operation. The caller has the lock.
func (f *Flow) remove(op *operation) {
	f.giveBack(op)
	delete(f.byWebSocketID, op.webSocketID)
	if f.byID[op.id] == op {
		delete(f.byID, op.id)
	}
	f.leave(op)
	if op.registered() {
		f.release(op)
	}
}

// Results returns the results that may be reported, Options.AuthResults.
func (f *Flow) Results() []string { return slices.Clone(f.o.AuthResults) }

// Stats are numbers of this moment.
type Stats struct {
	Operations int // known, registered or not
	Registered int // of them, those that a connected session waits for
	Sessions   int // with a registered operation or a reply that is held
}

// Stats returns how much the Flow holds.
func (f *Flow) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Stats{Operations: len(f.byWebSocketID), Registered: f.registered, Sessions: len(f.clients)}
}
