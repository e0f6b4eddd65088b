package webflow

import (
	"slices"
	"strings"

	"github.com/hoofbeat/hoofbeat/broker"
)

// This file decides when a page gets again what it may have missed: when it
// registers after a reconnect, when it subscribes, and when a subscription ends
// without an acknowledgement.

// redeliver makes the result of op due for the session that has just registered
// it: a page that reconnects gets what it has not acknowledged. The caller has
// the lock.
func (op *operation) redeliver() {
	op.refused, op.outstanding = false, 0
	op.pending = op.rec.Result != "" && !op.acked
}

// redeliverAgain makes the result of op due for the session that registered it
// before and does so again, unless the result is on its way to that session.
// The caller has the lock.
func (op *operation) redeliverAgain() {
	op.refused = false
	op.pending = op.pending || op.rec.Result != "" && !op.acked && op.outstanding == 0 && !op.delivering
}

// flush sends the held replies of c for which it has subscribed. r is the
// request being handled, nil outside of one. If another goroutine is sending
// them, flush leaves it to that one; for a request it waits until that has been
// done, because a result may only follow the reply.
func (f *Flow) flush(c *client, r *broker.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.flushing {
		c.again = true
		for r != nil && c.flushing {
			f.handedOut.Wait()
		}
		return
	}
	c.flushing = true
	for c.held != nil && !c.gone {
		c.again = false
		m := (*c.held)[0]
		f.mu.Unlock()
		sent := f.send(c.session, m, r).Subscriptions > 0
		f.mu.Lock()
		if sent && c.held != nil && (*c.held)[0] == m {
			*c.held = slices.Delete(*c.held, 0, 1)
		}
		if c.held != nil && len(*c.held) == 0 {
			c.held = nil
		}
		if !sent && !c.again {
			break
		}
	}
	c.flushing = false
	f.handedOut.Broadcast()
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
	defer f.mu.Unlock()
	c := f.clients[s.ID]
	if c == nil {
		return
	}
	if replies {
		f.mu.Unlock()
		f.flush(c, nil)
		f.mu.Lock()
		return
	}
	for _, op := range c.operations() {
		f.handOut(op, nil)
	}
}

// settled handles each acknowledgement of a result. It ignores those from an
// earlier registration and those of an older result.
func (f *Flow) settled(op *operation, registration uint32, number uint64, o broker.Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || op.rec.Registration != registration || op.rec.Number != number {
		return
	}
	op.outstanding--
	switch o {
	case broker.Acknowledged:
		f.offered(op, op.rec) // the ACK may arrive before send returns
		if !op.acked {
			f.post(f.o.Acknowledged, event(op.rec))
		}
		op.acked = true
	case broker.Refused:
		op.refused = true
	}
	op.reoffer()
	f.save(op)
}

// reoffer makes the result pending again if every subscription that got it
// ended without an ACK or NACK.
func (op *operation) reoffer() {
	if op.outstanding == 0 && !op.acked && !op.refused {
		op.pending = true
	}
}
