package webflow

import (
	"context"
	"encoding/json"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/broker"
)

// pollTokenHeader carries the poll token in the reply to a registration and in
// a poll. In a SEND that registers, it proves that the sender also made the
// last registration.
const pollTokenHeader = "poll-token"

// serve handles /app/registration. Every failed registration gets the same
// answer, and the connection stays open.
func (f *Flow) serve(_ context.Context, r *broker.Request) error {
	if r.Subscribe { // it expects exactly one answer, and there is no result to give
		f.send(r.Session, message(registrationDestination, refusal("", "")), r)
		return nil
	}
	id, valid := parseRegistration(r.Body, f.o.MaxIDBytes)
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		f.send(r.Session, message(registrationDestination, refusal(id, "")), r)
		return nil
	}
	c := f.client(r)
	var op *operation
	if valid {
		op = f.claim(id, c, r)
	}
	if op == nil {
		c.hold(message(registrationDestination, refusal(id, "")), f.o.MaxPerSession)
		f.mu.Unlock()
		f.flush(c, r)
		return nil
	}
	before := f.register(op, c)
	m := message(registrationDestination, success(op.webSocketID, f.o.Reply))
	m.Headers = append(m.Headers, broker.Header{Name: pollTokenHeader, Value: op.token.String()})
	c.hold(m, f.o.MaxPerSession)
	f.waitForCallbacks()
	f.mu.Unlock()

	if before != nil {
		f.flush(before, nil)
	}
	f.flush(c, r)
	f.mu.Lock()
	defer f.mu.Unlock()
	op.ready = op.ready || op.at == c // the reply goes out before any result
	f.handOut(op, r)
	return nil
}

// claim returns the operation that the client of r may register, or nil. The
// caller has the lock.
func (f *Flow) claim(id string, c *client, r *broker.Request) *operation {
	op := f.byWebSocketID[id]
	unknown := op == nil
	if unknown {
		if f.o.Registration != Open {
			return nil
		}
		op = f.unannounced(id)
	}
	if !f.mayRegister(op, r.Principal, r.Session, r.Header(pollTokenHeader)) {
		return nil
	}
	if op.at != c && len(c.operations) >= f.o.MaxPerSession {
		return nil
	}
	if unknown && !f.takeUpFor(op, r) { // too many: answered like any other refusal
		return nil
	}
	return op
}

// parseRegistration reads {"webSocketId":"…"}. It compares the field name
// exactly and ignores other fields. The returned id is "" unless it may be
// echoed.
func parseRegistration(body []byte, most int) (id string, ok bool) {
	// An id written in escapes (\u0041) takes six times its size.
	if len(body) > 6*most+1024 || !utf8.Valid(body) {
		return "", false
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return "", false
	}
	raw := fields["webSocketId"]
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	if err := json.Unmarshal(raw, &id); err != nil || id == "" || len(id) > most {
		return "", false
	}
	return id, true
}
