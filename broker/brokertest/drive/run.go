package drive

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/checker"
)

// run is a plan in progress.
type run struct {
	Plan
	c *checker.Checker

	receipts  atomic.Int64 // for SENDs and COMMITs
	messages  atomic.Int64
	published atomic.Bool // all publishers are done
	killed    atomic.Bool
	victim    atomic.Pointer[client] // the consumer that the plan kills

	mu      sync.Mutex
	clients map[*client]bool
	over    bool
}

// Run executes a plan and returns when everything is published and nothing more
// should arrive. It then declares the queues drained. It returns an error if
// the run did not finish before ctx ended, or if the broker refused something.
// The checker has the broker's faults.
func Run(ctx context.Context, c *checker.Checker, p Plan) error {
	p, err := p.filled()
	if err != nil {
		return err
	}
	r := &run{Plan: p, c: c, clients: make(map[*client]bool)}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	var listeners, publishers sync.WaitGroup
	ready := make(chan struct{}, p.Subscribers+p.Consumers+p.Durables)
	listen := func(role Role, n int, user string, subscribe subscriber) {
		listeners.Go(func() {
			if err := r.keep(ctx, role, n, user, subscribe, ready); err != nil {
				cancel(err)
			}
		})
	}
	for n := range p.Subscribers {
		listen(Subscriber, n, p.user(n), func(now, before *client) (<-chan struct{}, error) { return r.topics(ctx, n, now, before) })
	}
	for n := range p.Consumers {
		listen(Consumer, n, fmt.Sprintf("%s-consumer%d", p.Name, n), func(now, _ *client) (<-chan struct{}, error) { return r.queues(ctx, n, now) })
	}
	for n := range p.Durables {
		listen(Durable, n, fmt.Sprintf("%s-durable%d", p.Name, n), func(now, _ *client) (<-chan struct{}, error) { return r.durables(ctx, n, now) })
	}
	for range p.Subscribers + p.Consumers + p.Durables {
		select {
		case <-ready:
		case <-ctx.Done():
			r.end()
			listeners.Wait()
			return fmt.Errorf("drive: %w", context.Cause(ctx))
		}
	}
	for n := range p.Publishers {
		publishers.Go(func() {
			if err := r.publish(ctx, n); err != nil {
				cancel(fmt.Errorf("publisher %d: %w", n, err))
			}
		})
	}
	publishers.Wait()
	r.published.Store(true)
	r.settle(ctx)
	err = context.Cause(ctx)
	for n := range p.Queues {
		if err == nil {
			c.Drained(p.queue(n))
		}
	}
	for n := range p.Durables {
		if err == nil {
			c.Drained(p.durable(n))
		}
	}
	r.end()
	listeners.Wait()
	if err != nil {
		return fmt.Errorf("drive: %w", err)
	}
	return nil
}

// settle waits until nothing is outstanding, or nothing has arrived for Quiet.
func (r *run) settle(ctx context.Context) {
	last, since := r.messages.Load(), time.Now()
	for pause := 5 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, 200*time.Millisecond) {
		if n := r.messages.Load(); n != last {
			last, since = n, time.Now()
		}
		if r.c.Outstanding() == 0 || time.Since(since) > r.Quiet {
			return
		}
		wait(ctx, pause)
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// heard records that a message has arrived.
func (r *run) heard() { r.messages.Add(1) }

// killAfter returns the number of messages after which the plan kills a client,
// 0 = never.
func (r *run) killAfter(c *client) int {
	if r.KillConsumer > 0 && r.victim.Load() == c {
		return r.KillConsumer
	}
	return 0
}

// add registers an open connection. It returns false if the run is over.
func (r *run) add(c *client) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		r.clients[c] = true
	}
	return !r.over
}

func (r *run) remove(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.clients, c)
}

// end closes all connections and prevents new ones.
func (r *run) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	for c := range r.clients {
		c.leave()
	}
}

func (r *run) finished() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}
