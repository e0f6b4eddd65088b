package webflow

import (
	"context"
	"encoding/json"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/broker"
)

// pollTokenHeader is in the reply to a registration, and in a poll. In a
// registration it proves that it comes from whom the last one came from.
const pollTokenHeader = "poll-token"

// serve is the handler of /app/registration. Whatever is wrong with a
// registration, the answer is the same, and the socket stays open.
func (f *Flow) serve(_ context.Context, r *broker.Request) error {
	if r.Subscribe { // one answer is what it wants, and there is nothing to tell
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
	op.ready = op.ready || op.at == c // a result does not come before the reply
	f.handOut(op, r)
	return nil
}

// claim returns the operation that the client of r may register, nil if there is
// none. The caller has the lock.
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
	if unknown && !f.takeUpFor(op, r) { // full: to a client that is a refusal like any other
		return nil
	}
	return op
}

// parseRegistration reads {"webSocketId":"…"}. The name is compared exactly, and
// other fields are let pass. The id is "" unless it is one that may be echoed.
func parseRegistration(body []byte, most int) (id string, ok bool) {
	// An id in escapes, \u0041, takes six times its size.
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
