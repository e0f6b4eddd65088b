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

// Flow manages the operations of one broker, in memory. Its methods are safe
// for concurrent use.
type Flow struct {
	b         *broker.Broker
	o         Options
	derive    func(operationID string) string
	results   map[string]meaning
	messages  string // prefix of the message-ids of this run
	start     time.Time
	unobserve func()

	mu            sync.Mutex // never held during calls to the broker or the program
	closed        bool
	byWebSocketID map[string]*operation
	byID          map[string]*operation // operations whose webSocketId is not derived from their id
	clients       map[string]*client    // by session id
	shares        map[shareKey]*share
	schedule      schedule
	timer         *time.Timer
	armed         int64 // when the timer fires, 0 = not armed
	numbers       uint64
	registered    int // operations that a connected session waits for
	callbacks     callbacks
	handedOut     sync.Cond // signalled when a result was handed out or its session is gone
}

// meaning is a configured result and whether it is terminal.
type meaning struct {
	text     string
	terminal bool
}

// New adds the Web Flow destinations to b: a handler for /app/registration,
// which also gets each SEND to /user/topic/registration, and an observer of the
// sessions. Stop it with [Flow.Close]. The error names the invalid field of
// Options, or says that b already has such a handler.
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
	f.o.HMACKey = nil // only the derive function holds the key
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

// Close stops the Flow: it refuses registrations and forgets all operations.
// When it returns, all callbacks that were due have run and no more will. Call
// it before Broker.Close, or every session is reported as lost. Do not call it
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

// now returns the nanoseconds since New, never 0.
func (f *Flow) now() int64 { return int64(time.Since(f.start)) + 1 }

// Open announces an operation and returns its webSocketId. Opening it again
// with the same owner is not an error: the operation then ends at the later of
// its old and new TTL, and nothing else changes. If the mode [Open] already
// created the operation unannounced, it gets the announced owner, and a session
// owned by someone else is detached.
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
	if !validText(o.WebSocketID, f.o.MaxIDBytes) {
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

// open finds or creates the operation that o announces. The caller has the
// lock.
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

// add indexes and schedules a new operation. The caller has the lock.
func (f *Flow) add(op *operation, derived string) error {
	if len(f.byWebSocketID) >= f.o.MaxOperations {
		return ErrFull
	}
	f.byWebSocketID[op.webSocketID] = op
	f.name(op, derived)
	f.enter(op)
	return nil
}

// name indexes op by its id, unless its webSocketId is derived from the id.
func (f *Flow) name(op *operation, derived string) {
	if op.id != "" && op.webSocketID != derived {
		f.byID[op.id] = op
	}
}

// adopt turns an unannounced operation into the one that o announces. If the
// registered session is not the new owner's, adopt detaches and returns it; the
// caller must flush the notice. The caller has the lock.
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
	// The previous owner must not poll any more, and the new owner still gets a
	// result that the previous one acknowledged.
	_, _ = rand.Read(op.token[:]) // never fails
	op.result.acked = false
	if !op.registered() {
		return nil
	}
	f.supersede(op)
	return c
}

// find returns the operation with this id, or nil. Callers compute derived
// before they take the lock, because hashing takes longer than all else. The
// caller has the lock.
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

// Results returns a copy of Options.AuthResults, the results that may be
// reported.
func (f *Flow) Results() []string { return slices.Clone(f.o.AuthResults) }

// Stats is a snapshot of a Flow's counts.
type Stats struct {
	Operations int // all operations, registered or not
	Registered int // operations that a connected session waits for
	Sessions   int // sessions with a registered operation or a held reply
}

// Stats returns the current counts.
func (f *Flow) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Stats{Operations: len(f.byWebSocketID), Registered: f.registered, Sessions: len(f.clients)}
}
