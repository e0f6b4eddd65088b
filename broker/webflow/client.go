package webflow

import (
	"context"
	"errors"
	"slices"

	"github.com/hoofbeat/hoofbeat/broker"
)

const (
	registrationDestination  = "/topic/registration"
	authorizationDestination = "/topic/authorization"
)

// Close codes (RFC 6455 section 7.4.1) for a DISCONNECT and for a connection
// that ended without a close frame.
const (
	codeNormal = 1000
	codeLost   = 1006
)

// A client is a session of this broker that has registered operations or has
// held replies. Flow.mu guards everything.
type client struct {
	session string
	latest  *operation // that it has registered; the others follow by operation.next
	held    *replies   // to send once the session has subscribed, nil if there are none
	count   int32      // operations
	busy    int16      // registrations that wait for the Store

	flushing bool // a goroutine is sending the held replies
	again    bool // that goroutine must check once more when it is done

	gone   bool // the session ended, with reason and code
	reason broker.Reason
	code   uint16
}

type replies []*broker.Message

// operations returns the operations that c waits for, in the order of their
// registration.
func (c *client) operations() []*operation {
	all := make([]*operation, 0, c.count)
	for op := c.latest; op != nil; op = op.next {
		all = append(all, op)
	}
	slices.Reverse(all)
	return all
}

// add and drop maintain the operations.
func (c *client) add(op *operation) {
	op.at, op.next, c.latest = c, c.latest, op
	c.count++
}

func (c *client) drop(op *operation) {
	at := &c.latest
	for *at != op {
		at = &(*at).next
	}
	*at, op.at, op.next = op.next, nil, nil
	c.count--
}

// client returns the state of a session, creating it if needed. The caller has
// the lock.
func (f *Flow) client(session string) *client {
	c := f.clients[session]
	if c == nil {
		c = &client{session: session}
		f.clients[session] = c
	}
	return c
}

// forget drops a client that has no state left. The caller has the lock.
func (f *Flow) forget(c *client) {
	if c.count == 0 && c.held == nil && c.busy == 0 && !c.flushing && f.clients[c.session] == c {
		delete(f.clients, c.session)
	}
}

// bind makes c the client that waits for op, whose record says so. The caller
// has the lock.
func (f *Flow) bind(op *operation, c *client) {
	c.add(op)
	f.registered++
	op.ready = false
	op.redeliver()
}

// release detaches op from its client. The caller has the lock.
func (f *Flow) release(op *operation) {
	c := op.at
	c.drop(op)
	op.outstanding = 0
	f.registered--
	f.handedOut.Broadcast()
	f.forget(c)
}

// supersede detaches op from its client and queues the "superseded" notice,
// which flushNotices sends. The caller has the lock.
func (f *Flow) supersede(op *operation) {
	c := op.at
	c.hold(message(registrationDestination, refusal(op.rec.WebSocketID, "superseded")), f.o.MaxPerSession)
	f.notices = append(f.notices, c)
	f.release(op)
}

// hold queues a reply. When the queue is full it drops the oldest: the client
// sent that many registrations without subscribing.
func (c *client) hold(m *broker.Message, most int) {
	if c.held == nil {
		c.held = new(replies)
	}
	if len(*c.held) >= most {
		*c.held = slices.Delete(*c.held, 0, 1)
	}
	*c.held = append(*c.held, m)
}

// flushNotices sends the notices to superseded sessions. The caller has the
// lock, which flushNotices releases.
func (f *Flow) flushNotices() {
	if len(f.notices) == 0 {
		return
	}
	notices := f.notices
	f.notices = nil
	f.mu.Unlock()
	defer f.mu.Lock()
	for _, c := range notices {
		f.flush(c, nil)
	}
}

// disconnected runs at the end of every session.
func (f *Flow) disconnected(s broker.SessionInfo, why *broker.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.clients[s.ID]
	doubts := f.doubts[s.ID]
	if c == nil && doubts == nil {
		return
	}
	if c == nil {
		c = &client{session: s.ID}
	}
	delete(f.clients, s.ID)
	delete(f.doubts, s.ID)
	c.gone, c.held = true, nil
	c.reason, c.code = why.Reason, codeLost
	switch {
	case why.ClientCode != 0:
		c.code = uint16(why.ClientCode)
	case why.Reason == broker.ReasonDisconnect:
		c.code = codeNormal
	}
	operations := c.operations()
	f.registered -= len(operations)
	for _, op := range operations {
		c.drop(op)
	}
	f.handedOut.Broadcast()
	ctx := f.patient()
	for _, op := range operations {
		f.lose(ctx, op, c)
	}
	for _, id := range doubts {
		f.doubtful = append(f.doubtful, doubtful{c, id})
	}
	if len(f.doubtful) > 0 && !f.resolving && !f.closed {
		f.resolving = true
		f.background.Go(f.resolve)
	}
	f.waitForCallbacks()
}

// doubtful is an operation that a session may have registered before it ended.
type doubtful struct {
	client      *client
	webSocketID string
}

// resolve finds out which of these operations were registered, and records that
// their sessions have ended. It asks the Store until that answers, because the
// view of this node may be older than the registration.
func (f *Flow) resolve() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.doubtful) > 0 && !f.closed {
		d := f.doubtful[0]
		ctx := f.patient()
		op, err := f.read(ctx, func(ctx context.Context) (*Record, error) { return f.o.Store.Get(ctx, d.webSocketID) })
		if errors.Is(err, ErrUnavailable) {
			f.sleep(f.ctx, retryPause)
			continue
		}
		f.doubtful = f.doubtful[1:]
		if err == nil {
			f.lose(ctx, op, d.client)
			f.waitForCallbacks()
		}
	}
	f.doubtful, f.resolving = nil, false
}

// lose records that the session which waited for op has ended. If the Store
// fails, the program hears of it nevertheless, and writing it is repeated
// later. The caller has the lock, which lose releases.
func (f *Flow) lose(ctx context.Context, op *operation, c *client) {
	_, known := f.unsavedLosses[op]
	lost, err := f.change(ctx, op, func(now *Record) (*Record, error) {
		if now.Session != c.session || now.Gone { // it waits in another session
			return nil, nil
		}
		return f.lost(op, c), nil
	})
	switch {
	case errors.Is(err, ErrUnavailable):
		f.unsavedLosses[op] = c
		f.postpone(op)
		lost = f.lost(op, c)
	default:
		delete(f.unsavedLosses, op)
	}
	if lost == nil {
		return
	}
	if !known {
		f.post(f.o.Lost, event(lost))
	}
	if err == nil && f.o.Grace < 0 {
		_ = f.abandon(ctx, op) // or later, when it is due
	}
}

// lost returns the record of op after the session c has ended.
func (f *Flow) lost(op *operation, c *client) *Record {
	next := op.copy()
	next.lose(c.reason, c.code, wall()+max(0, int64(f.o.Grace)))
	return next
}

// abandon handles an owner that did not return in time. It removes an
// unannounced operation, since nobody else asked for it. The caller has the
// lock, which abandon releases.
func (f *Flow) abandon(ctx context.Context, op *operation) error {
	var before *Record
	done, err := f.change(ctx, op, func(now *Record) (*Record, error) {
		if op.grace == 0 || op.grace > f.now() {
			return nil, nil
		}
		before = now
		if now.Unannounced {
			return ended, nil
		}
		next := op.copy()
		next.Abandon = 0
		return next, nil
	})
	if done != nil {
		f.post(f.o.Abandoned, event(before))
	}
	return err
}
