package webhook

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// call is a question that is under way, once for all who want its answer.
type call struct {
	done chan struct{}
	ans  answer
	err  error
}

var errPanic = errors.New("panic in the HTTP client")

// begin puts a question in a goroutine of its own, which ends within twice the timeout. A turn is waited for no
// longer than ctx allows, but a question that has been put is not taken back when the client leaves: that would cost
// the connection, and clients could make it look as if the backend did not answer. The answer goes to finish, if that
// is not nil, before anybody who waits has it.
func (w *Webhook) begin(ctx context.Context, turns chan struct{}, body []byte, finish func(answer, error)) *call {
	c := &call{done: make(chan struct{}), err: ErrUnavailable}
	go func() {
		defer func() {
			if finish != nil {
				finish(c.ans, c.err)
			}
			close(c.done)
		}()
		c.ans, c.err = w.ask(ctx, turns, body)
	}()
	return c
}

// wait returns the answer, or that there is none when ctx is done first.
func (c *call) wait(ctx context.Context) (answer, error) {
	select {
	case <-c.done:
		return c.ans, c.err
	case <-ctx.Done():
		return answer{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// ask waits for a turn, and for the circuit to allow it, and puts the question.
func (w *Webhook) ask(ctx context.Context, turns chan struct{}, body []byte) (ans answer, err error) {
	if err := w.turn(ctx, turns); err != nil {
		return answer{}, err
	}
	defer func() { <-turns }()
	epoch, err := w.breaker.enter(time.Now())
	if err != nil {
		return answer{}, err
	}
	// Whatever happens to this goroutine, the circuit has to hear of it: it may be the only one that probes.
	err = errPanic
	defer func() {
		_ = recover() // in a goroutine of our own it would end the whole program
		w.report(epoch, err)
		if err != nil {
			ans, err = answer{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}()
	return w.post(context.WithoutCancel(ctx), body)
}

// turn waits until a question may be put, for the timeout at most.
func (w *Webhook) turn(ctx context.Context, turns chan struct{}) error {
	select {
	case turns <- struct{}{}:
		return nil
	default:
	}
	patience := time.NewTimer(w.timeout)
	defer patience.Stop()
	select {
	case turns <- struct{}{}:
		return nil
	case <-patience.C:
		return errQueue
	case <-ctx.Done():
		return errQueue
	}
}

// report tells the circuit how a question went, and the operator how the circuit is.
func (w *Webhook) report(epoch uint64, err error) {
	now := time.Now()
	change, since := w.breaker.report(epoch, err == nil, now)
	switch change {
	case opened:
		w.logger.Warn("the webhook gives no answer, so what only it can allow is refused until it does",
			"url", w.place, "failures", failuresToOpen, "cause", err)
	case closed:
		w.logger.Info("the webhook answers again", "url", w.place, "outage", now.Sub(since))
	}
}
