package webflow

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
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
	defer f.mu.Unlock()
	if f.closed {
		f.mu.Unlock()
		f.send(r.Session, message(registrationDestination, refusal(id, "")), r)
		f.mu.Lock()
		return nil
	}
	c := f.client(r.Session)
	c.busy++
	err := ErrUnknown
	var op *operation
	if valid {
		op, err = f.register(f.patient(), id, c, r)
	}
	m := f.answer(op, id, err)
	c.hold(m, f.o.MaxPerSession)
	if err == nil && op.at != c { // another session was faster, and this one is not told elsewhere
		c.hold(message(registrationDestination, refusal(id, "superseded")), f.o.MaxPerSession)
	}
	f.waitForCallbacks()
	f.mu.Unlock()
	f.flush(c, r)
	f.mu.Lock()
	c.busy--
	f.forget(c)
	if err == nil {
		op.ready = op.ready || op.at == c // the reply goes out before any result
		f.handOut(op, r)
	}
	return nil
}

// answer returns the reply to a registration.
func (f *Flow) answer(op *operation, id string, err error) *broker.Message {
	switch {
	case errors.Is(err, ErrUnavailable):
		return message(registrationDestination, refusal(id, "unavailable"))
	case err != nil:
		return message(registrationDestination, refusal(id, ""))
	}
	m := message(registrationDestination, success(op.rec.WebSocketID, f.o.Reply))
	m.Headers = append(m.Headers, broker.Header{Name: pollTokenHeader, Value: op.rec.pollToken()})
	return m
}

// register makes c the client that waits for the operation with this id. The
// error is ErrUnavailable, or another one if the client may not wait for it.
// The caller has the lock, which register releases.
func (f *Flow) register(ctx context.Context, id string, c *client, r *broker.Request) (*operation, error) {
	for {
		op, err := f.lookUpWebSocketID(ctx, id)
		var registered *Record
		switch {
		case err == nil:
			registered, err = f.claim(ctx, op, c, r)
		case errors.Is(err, ErrUnknown) && f.o.Registration == Open:
			op, err = f.takeUp(ctx, id, c, r)
			if errors.Is(err, ErrExists) && ctx.Err() == nil { // somebody else was faster
				continue
			}
			if err == nil {
				registered = op.rec
			}
		}
		switch {
		case errors.Is(err, ErrUnavailable):
			f.doubt(c, id)
			return nil, err
		case err != nil:
			return nil, err
		}
		f.seat(ctx, op, c, registered)
		return op, nil
	}
}

// claim writes into the record of op that c waits for it. It returns nil if it
// says so already. The caller has the lock, which claim releases.
func (f *Flow) claim(ctx context.Context, op *operation, c *client, r *broker.Request) (*Record, error) {
	return f.change(ctx, op, func(now *Record) (*Record, error) {
		p := r.Principal
		if !f.mayRegister(now, p, c.session, r.Header(pollTokenHeader)) || op.at != c && int(c.count) >= f.o.MaxPerSession {
			return nil, ErrUnknown
		}
		if now.Session == c.session && !now.Gone {
			return nil, nil
		}
		next := op.copy()
		_, scoped := f.scope(p, now)
		next.setSession(c.session, p, scoped)
		return next, nil
	})
}

// seat connects c with op, whose record says that c waits: the record that was
// written now, or nil if it said so before. The caller has the lock, which seat
// may release.
func (f *Flow) seat(ctx context.Context, op *operation, c *client, registered *Record) {
	if registered != nil {
		f.post(f.o.Registered, event(registered))
	}
	switch {
	case op.rec.Session != c.session || op.rec.Gone: // another one was faster
	case c.gone:
		f.lose(ctx, op, c)
	case op.at == c:
		op.redeliverAgain()
	default:
		f.bind(op, c)
	}
}

// doubt notes that a session may have registered an operation, or not: the
// Store did not say. When the session ends, that is found out. The caller has
// the lock.
func (f *Flow) doubt(c *client, id string) {
	if doubts := f.doubts[c.session]; !c.gone && len(doubts) < f.o.MaxPerSession && !slices.Contains(doubts, id) {
		f.doubts[c.session] = append(doubts, id)
	}
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
