package webflow

import (
	"slices"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth"
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

// A client is a session that has registered operations or has held replies.
// Flow.mu guards everything.
type client struct {
	session    string
	principal  *auth.Principal // as of the latest registration
	operations []*operation
	held       []*broker.Message // replies to send once the session has subscribed
	flushing   bool              // a goroutine is sending the held replies
	again      bool              // that goroutine must check once more when it is done

	gone   bool // the session ended, with reason and code
	reason broker.Reason
	code   uint16
}

// client returns the state of the session that sent r, creating it if needed.
// The caller has the lock.
func (f *Flow) client(r *broker.Request) *client {
	c := f.clients[r.Session]
	if c == nil {
		c = &client{session: r.Session}
		f.clients[r.Session] = c
	}
	c.principal = r.Principal
	return c
}

// forget drops a client that has no state left. The caller has the lock.
func (f *Flow) forget(c *client) {
	if len(c.operations) == 0 && len(c.held) == 0 && !c.flushing && f.clients[c.session] == c {
		delete(f.clients, c.session)
	}
}

// release detaches op from its session. The caller has the lock.
func (f *Flow) release(op *operation) {
	c := op.at
	c.operations = slices.DeleteFunc(c.operations, func(o *operation) bool { return o == op })
	op.at = nil
	f.registered--
	f.handedOut.Broadcast()
	f.forget(c)
}

// supersede detaches op from its session and queues the "superseded" notice.
// The caller has the lock, and must flush the session after releasing it.
func (f *Flow) supersede(op *operation) {
	op.at.hold(message(registrationDestination, refusal(op.webSocketID, "superseded")), f.o.MaxPerSession)
	f.release(op)
	op.result.outstanding = 0
	op.registration++ // ignore acknowledgements from the superseded session
}

// hold queues a reply. When the queue is full it drops the oldest: the client
// sent that many registrations without subscribing.
func (c *client) hold(m *broker.Message, most int) {
	if len(c.held) >= most {
		c.held = slices.Delete(c.held, 0, 1)
	}
	c.held = append(c.held, m)
}

// flush sends the held replies of c for which it has subscribed. r is the
// request being handled, nil outside of one.
func (f *Flow) flush(c *client, r *broker.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.flushing {
		c.again = true
		return
	}
	c.flushing = true
	for len(c.held) > 0 && !c.gone {
		c.again = false
		m := c.held[0]
		f.mu.Unlock()
		sent := f.send(c.session, m, r).Subscriptions > 0
		f.mu.Lock()
		if sent && len(c.held) > 0 && c.held[0] == m {
			c.held = slices.Delete(c.held, 0, 1)
		}
		if !sent && !c.again {
			break
		}
	}
	if len(c.held) == 0 {
		c.held = nil
	}
	c.flushing = false
	f.forget(c)
}

// subscribed runs on every SUBSCRIBE. It compares only the end of the
// destination, because that may include the user's name
// (/user/alice/topic/authorization). An unrelated destination that also matches
// is harmless: nothing is sent to it.
func (f *Flow) subscribed(s broker.SessionInfo, destination, _ string) {
	replies := strings.HasSuffix(destination, registrationDestination)
	if !replies && !strings.HasSuffix(destination, authorizationDestination) {
		return
	}
	f.mu.Lock()
	c := f.clients[s.ID]
	if c == nil {
		f.mu.Unlock()
		return
	}
	operations := slices.Clone(c.operations)
	f.mu.Unlock()
	if replies {
		f.flush(c, nil)
		return
	}
	for _, op := range operations {
		f.deliver(op, nil)
	}
}

// disconnected runs at the end of every session.
func (f *Flow) disconnected(s broker.SessionInfo, why *broker.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.clients[s.ID]
	if c == nil {
		return
	}
	delete(f.clients, s.ID)
	c.gone, c.held = true, nil
	c.reason, c.code = why.Reason, codeLost
	switch {
	case why.ClientCode != 0:
		c.code = uint16(why.ClientCode)
	case why.Reason == broker.ReasonDisconnect:
		c.code = codeNormal
	}
	operations := c.operations
	c.operations = nil
	f.registered -= len(operations)
	f.handedOut.Broadcast()
	for _, op := range operations {
		f.lose(op, c)
	}
	f.waitForCallbacks()
}

// lose handles the end of the session that waited for op. The caller has the
// lock.
func (f *Flow) lose(op *operation, c *client) {
	f.post(f.o.Lost, f.event(op, c))
	switch {
	case op.result.terminal:
	case f.o.Grace < 0:
		f.abandon(op)
	default:
		op.grace = f.now() + int64(f.o.Grace)
		f.reschedule(op)
	}
}

// abandon handles an owner that did not return in time. It removes an
// unannounced operation, since nobody else asked for it. The caller has the
// lock.
func (f *Flow) abandon(op *operation) {
	op.grace = 0
	f.post(f.o.Abandoned, f.event(op, op.at))
	if op.unannounced {
		f.remove(op)
		return
	}
	f.reschedule(op)
}
