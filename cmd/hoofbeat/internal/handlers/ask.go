package handlers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/circuit"
	"github.com/hoofbeat/hoofbeat/auth/loglimit"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/signed"
)

// deliveryHeader names the id of a request: the same in each repetition.
const deliveryHeader = "Hoofbeat-Delivery"

// failure is a request without a good answer.
type failure struct {
	cause  error
	key    string        // what the operator may change
	public *broker.Error // for the client: no internals
	// again is what becomes of a message in a queue.
	again again
}

// again says what to do with a message whose request failed.
type again uint8

const (
	attempt again = iota // it counts as a delivery, and comes again
	wait                 // the server has not got it: try again until it has
	proxied              // as wait, but a proxy says so (502, 504): the server may have got it
	never                // the server does not want it
)

// unavailable is for a client whose request was not handled because the server
// does not answer.
func unavailable() *broker.Error {
	return &broker.Error{Reason: broker.ReasonInternalError, Message: "the application does not answer now, try again later"}
}

// unhandled is for a client whose request the server could not handle.
func unhandled() *broker.Error {
	return &broker.Error{Reason: broker.ReasonInternalError, Message: "the application could not handle this"}
}

var (
	errOpen = errors.New("the circuit is open: its server does not answer")
	errBusy = fmt.Errorf("no turn within %v: too many requests are on their way", patience)
)

func busy() *failure {
	return &failure{errBusy, "in_flight, or handlers_in_flight", unavailable(), wait}
}

// ask posts a question for a client and parses the answer. The circuit must be
// closed.
func (h *handler) ask(ctx context.Context, owner, id string, body []byte) (*answer, *failure) {
	release, f := h.turn(ctx, owner)
	if f != nil {
		return nil, f
	}
	defer release()
	epoch, _, ok := h.breaker.Enter(time.Now())
	if !ok {
		return nil, &failure{errOpen, "url", unavailable(), wait}
	}
	a, absent, f := h.post(ctx, id, body)
	h.switched(epoch, !absent, f)
	return a, f
}

// askForQueue is ask for a message of a queue. The circuit has no part in it: the
// queue makes pauses, and its messages must not open the circuit to clients.
func (h *handler) askForQueue(ctx context.Context, id string, body []byte) (*answer, *failure) {
	release, f := h.turn(ctx, "")
	if f != nil {
		return nil, f
	}
	defer release()
	a, absent, f := h.post(ctx, id, body)
	if !absent {
		h.away.Store(0)
	} else {
		h.away.CompareAndSwap(0, time.Now().UnixNano())
	}
	return a, f
}

// post sends a question. absent means that the server could not be reached.
// Anything else closes the circuit: otherwise a client could open it to all
// others with messages that the server does not like.
func (h *handler) post(ctx context.Context, id string, body []byte) (out *answer, absent bool, f *failure) {
	a, err := h.client.Post(ctx, body, http.Header{deliveryHeader: {id}})
	f = h.failureOf(a, err)
	if err != nil || f != nil && (f.again == wait || f.again == proxied) && a.Status > 500 {
		return nil, true, f
	}
	h.answered.Add(1)
	if f != nil {
		return nil, false, f
	}
	if out, err = parseAnswer(a); err != nil {
		return nil, false, &failure{err, "url", unhandled(), attempt}
	}
	return out, false, nil
}

// failureOf returns why a response is not an answer, or nil.
func (h *handler) failureOf(a *signed.Answer, err error) *failure {
	var transport *signed.Error
	if errors.As(err, &transport) {
		f := &failure{err, "url", unavailable(), wait}
		if transport.Sent {
			f.again = attempt
		}
		if transport.TimedOut {
			f.key = "timeout"
		}
		return f
	}
	f := &failure{fmt.Errorf("status %d", a.Status), "url", unhandled(), attempt}
	switch a.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		f.public, f.again = unavailable(), wait
		if a.Status == http.StatusBadGateway || a.Status == http.StatusGatewayTimeout {
			f.again = proxied
		}
		return f
	}
	switch {
	case a.Status/100 == 4:
		f.again = never
	case a.Status/100 != 2:
	case a.More:
		f.cause, f.key = fmt.Errorf("the answer is longer than %d bytes", h.MaxAnswer), "answer"
	default:
		return nil
	}
	return f
}

// switched reports the result of a request to the circuit, and logs its changes.
func (h *handler) switched(epoch uint64, ok bool, f *failure) {
	now := time.Now()
	change, since := h.breaker.Report(epoch, ok, now)
	if h.set.ctx.Err() != nil {
		return // the broker stops, which ends requests
	}
	switch change {
	case circuit.Opened:
		h.set.log.Warn("the server of a handler does not answer; nothing is sent to it until it does",
			"key", h.key, "url", h.client.Place(), "failures", circuit.Failures, "cause", f.cause)
	case circuit.Closed:
		h.set.log.Info("the server of a handler answers again", "key", h.key, "url", h.client.Place(), "outage", now.Sub(since))
	}
}

// report counts and logs a failure.
func (h *handler) report(f *failure, attrs ...any) {
	h.failed.Add(1)
	if h.set.ctx.Err() != nil {
		return // the broker stops
	}
	attrs = append([]any{"key", h.key + "." + f.key, "url", h.client.Place(), "destination", h.Destination, "cause", f.cause}, attrs...)
	h.set.quiet.Log(h.set.ctx, h.set.log, slog.LevelWarn, loglimit.Key{Kind: "a handler has failed", From: h.key + f.key}, attrs...)
}

// carryOut sends what the answer says. reply sends the reply. A message to a
// client that has gone is dropped: otherwise a client could make the answers to
// others fail. full is called about a message for which there is no room, and
// says whether to try again.
func (h *handler) carryOut(ctx context.Context, a *answer, reply func(context.Context, *broker.Message) error, full func(*failure, *broker.Message) bool) *failure {
	for i, m := range a.send {
		for {
			err := h.set.b.Publish(ctx, m)
			if err == nil || errors.Is(err, broker.ErrDuplicate) || errors.Is(err, broker.ErrNoSession) {
				break
			}
			f := &failure{fmt.Errorf("send[%d] of the answer: %w", i, err), "url", unhandled(), never}
			if !errors.Is(err, broker.ErrQueueFull) && !errors.Is(err, broker.ErrLimit) || !full(f, m) {
				return f
			}
		}
	}
	if a.reply == nil {
		return nil
	}
	if err := reply(ctx, a.reply); err != nil && !errors.Is(err, broker.ErrNoSession) {
		return &failure{fmt.Errorf("the reply of the answer: %w", err), "url", unhandled(), never}
	}
	return nil
}
