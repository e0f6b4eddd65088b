package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
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
// queue, which counts its deliveries. If a proxy says again that the server is
// down, although the server has answered other requests since the last time,
// this message may be what it fails on.
func (h *handler) deliver(ctx context.Context, m *broker.Message) error {
	var q question
	if err := json.Unmarshal(m.Body, &q); err != nil || q.ID == "" {
		return h.bury(ctx, m, &failure{errors.New("a message in the queue is not a request"), "via", nil, never})
	}
	answered := int64(-1) // when a proxy last said so
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		a, f := h.askForQueue(ctx, q.ID, m.Body)
		if f != nil && f.again == proxied {
			before := answered
			if answered = h.answered.Load(); before >= 0 && answered > before {
				f.again = attempt
			}
		}
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
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
		if expired(m) {
			return errExpired // the queue does with it what queues.expired says
		}
	}
}

var errExpired = errors.New("the message has expired")

// expired reports whether a message of the queue has expired: the broker has put
// the time into one header.
func expired(m *broker.Message) bool {
	at, err := strconv.ParseInt(m.Header("expires"), 10, 64)
	return err == nil && at > 0 && time.Now().UnixMilli() >= at
}

// sleep returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// accepted does what the answer says. The server has accepted the message, so
// that a failure does not repeat it. A message of the answer for which there is
// no room waits: the server will not be asked for it again.
func (h *handler) accepted(ctx context.Context, a *answer, q *question) {
	pause := firstPause
	f := h.carryOut(ctx, a, func(ctx context.Context, m *broker.Message) error {
		return h.replyLater(ctx, q, m)
	}, func(f *failure, m *broker.Message) bool {
		if topics.Collapse(m.Destination) == topics.Collapse(h.Via) {
			return false // there is no room before this message is acknowledged
		}
		h.report(f, "queue", h.Via, "delivery", q.ID)
		again := sleep(ctx, pause)
		pause = min(2*pause, lastPause)
		return again
	})
	if f != nil {
		h.report(f, "queue", h.Via, "delivery", q.ID)
		return
	}
	h.handled.Add(1)
}

// replyLater sends the reply to a SEND where broker.Request.Reply does.
func (h *handler) replyLater(ctx context.Context, q *question, m *broker.Message) error {
	if m.Destination == "" {
		to := q.Headers["reply-to"]
		if strings.HasPrefix(to, "/reply-queue/") { // the broker sends there only if it is the session's own
			m.Destination = to
			if d, err := h.set.b.PublishToSession(ctx, q.Session, m); err != nil || d.Subscriptions > 0 {
				return err
			}
		}
		m.Destination = h.replyTo(q)
	}
	_, err := h.set.b.PublishToSession(ctx, q.Session, m)
	return err
}

// replyTo returns the private destination for the reply to a SEND.
func (h *handler) replyTo(q *question) string {
	d, err := h.set.names.ParseSubscription(q.Headers["reply-to"])
	if err == nil && !d.Pattern && (d.Kind == topics.UserPrivate || d.Kind == topics.UserNamed && d.User == q.User) {
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
