package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/topics"
)

// The pause before a message is posted again to a server that was not reached:
// as long as that of in-process consumers whose function fails.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

// lifetimes are the headers of a SEND that its message in the queue has too.
var lifetimes = []string{"expires", "expiration", "ttl"}

// store puts a SEND into the queue, on the account of the client.
func (h *handler) store(ctx context.Context, r *broker.Request, id string, body []byte) error {
	m := &broker.Message{
		Destination: h.Via, Body: body,
		Headers: []broker.Header{{Name: "content-type", Value: "application/json"}, {Name: "hoofbeat-delivery", Value: id}},
	}
	for _, name := range lifetimes {
		if value := r.Header(name); value != "" {
			m.Headers = append(m.Headers, broker.Header{Name: name, Value: value})
		}
	}
	return r.Forward(ctx, m)
}

// deliver posts a message of the queue until the server accepts it. It waits
// for a server that cannot be reached. An error returns the message to the
// queue, which counts its deliveries.
func (h *handler) deliver(ctx context.Context, m *broker.Message) error {
	var q question
	if err := json.Unmarshal(m.Body, &q); err != nil || q.ID == "" {
		return h.bury(ctx, m, &failure{errors.New("a message in the queue is not a request"), "via", nil, never})
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		a, f := h.ask(ctx, q.ID, m.Body)
		switch {
		case f == nil && a.refuse != "":
			return h.bury(ctx, m, &failure{errors.New("the server refuses it"), "url", nil, never})
		case f == nil:
			h.accepted(ctx, a, &q)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case f.again == never:
			return h.bury(ctx, m, f)
		}
		h.report(f, "queue", h.Via, "delivery", q.ID)
		if f.again == attempt {
			return f.cause
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// accepted does what the answer says. The server has accepted the message, so
// that a failure does not repeat it.
func (h *handler) accepted(ctx context.Context, a *answer, q *question) {
	f := h.carryOut(ctx, a, func(ctx context.Context, m *broker.Message) error {
		if m.Destination == "" {
			m.Destination = h.replyTo(q)
		}
		_, err := h.set.b.PublishToSession(ctx, q.Session, m)
		return err
	})
	if f != nil {
		h.report(f, "queue", h.Via, "delivery", q.ID)
		return
	}
	h.handled.Add(1)
}

// replyTo returns where the reply to a SEND goes, as broker.Request.Reply does.
func (h *handler) replyTo(q *question) string {
	to := q.Headers["reply-to"]
	if strings.HasPrefix(to, "/reply-queue/") { // the broker sends there only if it is the session's own
		return to
	}
	if d, err := h.set.names.ParseSubscription(to); err == nil && d.Kind == topics.UserPrivate {
		return d.Path
	}
	return "/queue" + strings.TrimPrefix(q.Destination, h.set.app)
}

// bury makes a message a dead letter.
func (h *handler) bury(ctx context.Context, m *broker.Message, f *failure) error {
	h.report(f, "queue", h.Via, "message", m.ID)
	dead, ok := h.set.names.DeadLetters(h.Via)
	if !ok { // a queue for dead letters is refused by New
		return f.cause
	}
	c := broker.Message{Destination: dead, ID: m.ID, Body: m.Body, Headers: []broker.Header{
		{Name: "original-destination", Value: h.Via}, {Name: "dead-letter-reason", Value: "refused"},
	}}
	for _, header := range m.Headers {
		switch header.Name {
		case "original-destination", "dead-letter-reason", "expires", "expiration", "ttl":
		default:
			c.Headers = append(c.Headers, header)
		}
	}
	return h.set.b.Publish(ctx, &c)
}
