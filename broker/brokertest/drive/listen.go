package drive

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/checker"
	"github.com/hoofbeat/hoofbeat/frames"
)

// again is the longest pause between two attempts to connect.
const again = 500 * time.Millisecond

// dial retries to connect until it succeeds, the run is over, or ctx has ended.
func (r *run) dial(ctx context.Context, role Role, n int, user string) (*client, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, again) {
		c, err := r.connect(ctx, role, n, user)
		switch {
		case err == nil && r.add(c):
			return c, nil
		case err == nil:
			c.leave()
			return nil, nil
		case errors.Is(err, errRefused):
			return nil, err
		case r.finished():
			return nil, nil
		case ctx.Err() != nil:
			return nil, fmt.Errorf("%w: the last attempt: %w", context.Cause(ctx), err)
		}
		wait(ctx, pause)
	}
}

// subscriber subscribes a client. before is the client that it replaces, or
// nil. The returned channel is closed when all RECEIPTs have arrived.
type subscriber func(now, before *client) (<-chan struct{}, error)

// keep runs a receiving client until the run is over, over as many connections
// as necessary. It sends to ready when it is subscribed for the first time.
func (r *run) keep(ctx context.Context, role Role, n int, user string, subscribe subscriber, ready chan<- struct{}) error {
	var before *client
	for first := true; !r.finished(); {
		c, err := r.dial(ctx, role, n, user)
		if c == nil {
			return err
		}
		if role == Durable {
			c.visit = r.Visit
		}
		if role == Consumer && n == 0 && !r.killed.Swap(true) {
			r.victim.Store(c)
		}
		if before != nil && role == Subscriber {
			r.gap(ctx)
		}
		subscribed, err := subscribe(c, before)
		if err == nil {
			if first {
				first = false
				go func() {
					select {
					case <-subscribed:
						ready <- struct{}{}
					case <-ctx.Done():
					}
				}()
			}
			err = c.listen(ctx)
		}
		r.remove(c)
		if c.left() {
			return nil
		}
		c.cut()
		if role == Durable && busy(err) {
			wait(ctx, 5*time.Millisecond)
		} else if errors.Is(err, errRefused) {
			return fmt.Errorf("%s %d: %w", role, n, err)
		}
		before = c
	}
	return nil
}

// gap waits until other clients have published while this one is disconnected.
func (r *run) gap(ctx context.Context) {
	for until := r.receipts.Load() + int64(r.Gap); r.receipts.Load() < until && !r.published.Load() && ctx.Err() == nil; {
		wait(ctx, time.Millisecond)
	}
}

// topics subscribes a subscriber, continuing the subscriptions of before.
func (r *run) topics(ctx context.Context, n int, now, before *client) (<-chan struct{}, error) {
	var list []string
	if n%2 == 1 && r.Topics > 0 {
		list = append(list, "/topic/"+r.Name+"/*")
	} else {
		for i := range r.Topics {
			list = append(list, r.topic(i))
		}
	}
	if r.Private {
		list = append(list, "/user"+r.private())
	}
	return now.subscribe(ctx, list, checker.Auto, before)
}

func (r *run) queues(ctx context.Context, n int, now *client) (<-chan struct{}, error) {
	var list []string
	for i := range r.Queues {
		list = append(list, r.queue(i))
	}
	return now.subscribe(ctx, list, []checker.Mode{checker.Individual, checker.Client}[n%2], nil)
}

// durables subscribes the client of a durable subscription.
func (r *run) durables(ctx context.Context, n int, now *client) (<-chan struct{}, error) {
	mode := []checker.Mode{checker.Individual, checker.Client}[n%2]
	return now.subscribe(ctx, []string{r.durable(n)}, mode, nil, "durable", "inbox")
}

// subscribe subscribes to all destinations in list. The returned channel is
// closed when all RECEIPTs have arrived, which the caller must read meanwhile.
func (c *client) subscribe(ctx context.Context, list []string, m checker.Mode, before *client, more ...string) (<-chan struct{}, error) {
	all := make(chan struct{})
	left := len(list)
	for i, d := range list {
		id := strconv.Itoa(i)
		headers := append([]string{"id", id, "destination", d, "ack", []string{"auto", "client", "client-individual"}[m]}, more...)
		var continues *checker.Subscription
		if before != nil && before.subs[id] != nil {
			continues = before.subs[id].Subscription
			headers = append(headers, "offset", "next") // a broker without history ignores it
		}
		u := c.session.Subscribe(id, d, m, continues)
		c.subs[id] = &subscription{u, m}
		err := c.ask(ctx, func(f *frames.Frame) {
			u.Receipted(f.Get("recovered"))
			if left--; left == 0 {
				close(all)
			}
		}, frames.CommandSubscribe, nil, headers...)
		if err != nil {
			return nil, err
		}
	}
	if left == 0 {
		close(all)
	}
	return all, nil
}
