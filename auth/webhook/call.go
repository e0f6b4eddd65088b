package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/auth/internal/turns"
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
func ask[K comparable](ctx context.Context, w *Webhook, line *turns.Turns[K], key K, body []byte) (ans answer, err error) {
	patience, cancel := context.WithTimeout(ctx, w.timeout)
	served := line.Take(patience, key)
	cancel()
	if !served {
		return answer{}, errQueue
	}
	defer line.Give(key)
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

// asker is for whom a question of what a client may do is: a user, or nobody from some network.
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
