package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/circuit"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/auth/internal/turns"
)

// call is a running question. All callers with the same question share it.
type call struct {
	done chan struct{}
	ans  answer
	err  error
}

var errPanic = errors.New("panic in the HTTP client")

// begin sends a question in a new goroutine, which ends within twice the
// timeout. ctx limits only the wait for a turn. A question that was sent is not
// cancelled when the client leaves: that would cost the connection, and clients
// could make the backend seem to be down. finish, if not nil, gets the answer
// before any waiting caller does.
func begin[K comparable](ctx context.Context, w *Webhook, line *turns.Turns[K], key K, body []byte, finish func(answer, error)) *call {
	c := &call{done: make(chan struct{}), err: ErrUnavailable}
	go func() {
		defer func() {
			if finish != nil {
				finish(c.ans, c.err)
			}
			close(c.done)
		}()
		c.ans, c.err = ask(ctx, w, line, key, body)
	}()
	return c
}

// wait returns the answer, or an error when ctx is done first.
func (c *call) wait(ctx context.Context) (answer, error) {
	select {
	case <-c.done:
		return c.ans, c.err
	case <-ctx.Done():
		return answer{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// ask waits for a turn, checks the circuit, and sends the question.
func ask[K comparable](ctx context.Context, w *Webhook, line *turns.Turns[K], key K, body []byte) (ans answer, err error) {
	patience, cancel := context.WithTimeout(ctx, w.timeout)
	served := line.Take(patience, key)
	cancel()
	if !served {
		return answer{}, errQueue
	}
	defer line.Give(key)
	epoch, wait, entered := w.breaker.Enter(time.Now())
	if !entered {
		return answer{}, &openError{wait: wait}
	}
	// Report to the circuit in any case, even after a panic: this may be the
	// only probe.
	err = errPanic
	defer func() {
		_ = recover() // in our own goroutine a panic would end the program
		w.report(epoch, err)
		if err != nil {
			ans, err = answer{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}()
	return w.post(context.WithoutCancel(ctx), body)
}

// asker identifies the owner of a permission question: a user, or the network
// of an anonymous client.
type asker struct {
	user    string
	network netip.Addr
}

func askerOf(ctx context.Context, p *auth.Principal) asker {
	if p.Name != "" {
		return asker{user: p.Name}
	}
	return asker{network: httpsec.Network(auth.RemoteOf(ctx))}
}

// report reports a question's result to the circuit, and logs the circuit's
// changes.
func (w *Webhook) report(epoch uint64, err error) {
	now := time.Now()
	change, since := w.breaker.Report(epoch, err == nil, now)
	switch change {
	case circuit.Opened:
		w.logger.Warn("the webhook does not answer; everything that only it can allow is denied until it does",
			"url", w.place, "failures", circuit.Failures, "cause", err)
	case circuit.Closed:
		w.logger.Info("the webhook answers again", "url", w.place, "outage", now.Sub(since))
	}
}
