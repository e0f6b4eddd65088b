package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

const (
	// consumerIdle is how long a consumer stays that no reader uses, so that a
	// page that is loaded again finds it.
	consumerIdle = 2 * time.Second
	// consumerBusy is how long after an attempt the next is made to delete a
	// consumer that has unacknowledged messages.
	consumerBusy = 30 * time.Second
	// creating is how many consumers are made at one time.
	creating = 32
)

// consumers are the consumers of the stream: one for each queue that is read.
//
// A consumer that has unacknowledged messages when its last user has left is made
// anew before it is used again, see [source.leave]. So are those that an earlier
// run left behind: what they hold would come only after [ackWait], and behind later
// messages. Their messages are known as perhaps delivered by their sequence.
type consumers struct {
	q      *Queues
	making chan struct{}

	mu     sync.Mutex
	stream jetstream.Stream
	all    map[string]*consumer // by key
}

type consumer struct {
	key string // of its queue

	turn   chan struct{} // held by who speaks with the engine about it
	name   string        // of the engine, another one each time that it is made
	exists bool
	wide   bool
	stale  atomic.Bool // must be made anew before it is used

	// guarded by consumers.mu
	users   int
	until   time.Time     // not deleted before
	leaving chan struct{} // closed when its last user has left
}

func newConsumers(q *Queues) *consumers {
	return &consumers{q: q, making: make(chan struct{}, creating), all: make(map[string]*consumer)}
}

// begin finds what an earlier run has left.
func (c *consumers) begin(ctx context.Context, stream jetstream.Stream) error {
	all := make(map[string]*consumer)
	list := stream.ConsumerNames(ctx)
	for name := range list.Name() {
		key := consumerKeyOf(name)
		if all[key] != nil {
			key = name // nobody uses it, and it is deleted
		}
		k := &consumer{key: key, turn: make(chan struct{}, 1), name: name, exists: true}
		k.stale.Store(true)
		all[key] = k
	}
	if err := list.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	c.stream, c.all = stream, all
	c.mu.Unlock()
	return nil
}

// use returns the consumer of a queue, and makes it if it does not exist. The
// caller releases it.
func (c *consumers) use(ctx context.Context, queue *ledgerQueue) (*consumer, error) {
	key := consumerKey(queue)
	c.mu.Lock()
	k := c.all[key]
	for k != nil && k.leaving != nil {
		left := k.leaving
		c.mu.Unlock()
		select {
		case <-left:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		c.mu.Lock()
		k = c.all[key]
	}
	if k == nil {
		k = &consumer{key: key, turn: make(chan struct{}, 1)}
		c.all[key] = k
	}
	k.users++
	stream := c.stream
	c.mu.Unlock()
	if err := c.make(ctx, stream, k, queue); err != nil {
		c.release(k)
		return nil, err
	}
	return k, nil
}

func (k *consumer) lock(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (k *consumer) unlock() { <-k.turn }

func (c *consumers) make(ctx context.Context, stream jetstream.Stream, k *consumer, queue *ledgerQueue) error {
	if err := k.lock(ctx); err != nil {
		return err
	}
	defer k.unlock()
	if k.exists && !k.stale.Load() {
		return nil
	}
	select {
	case c.making <- struct{}{}:
		defer func() { <-c.making }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if k.stale.Load() {
		if err := stream.DeleteConsumer(ctx, k.name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return fmt.Errorf("deleting a consumer to make it anew: %w", err)
		}
		k.exists = false
		k.stale.Store(false)
	}
	// The engine may still be writing files of one of the same name that it has
	// deleted.
	k.name = k.key + "_" + nuid.Next()
	return c.create(ctx, stream, k, queue)
}

func (c *consumers) create(ctx context.Context, stream jetstream.Stream, k *consumer, queue *ledgerQueue) error {
	wide := c.q.ledger.isWide(queue)
	filters := c.q.names.filters(queue, wide)
	config := jetstream.ConsumerConfig{
		Durable:           k.name,
		AckPolicy:         jetstream.AckExplicitPolicy,
		AckWait:           ackWait,
		MaxDeliver:        -1,
		MaxAckPending:     -1,
		InactiveThreshold: inactive,
	}
	if len(filters) == 1 {
		config.FilterSubject = filters[0]
	} else {
		config.FilterSubjects = filters
	}
	if _, err := stream.CreateOrUpdateConsumer(ctx, config); err != nil {
		return err
	}
	k.exists, k.wide = true, wide
	return nil
}

// widen makes the consumer of a queue, if it has one, read the replacements too.
// The ledger knows already that there are some.
func (c *consumers) widen(ctx context.Context, queue *ledgerQueue) error {
	c.mu.Lock()
	k, stream := c.all[consumerKey(queue)], c.stream
	c.mu.Unlock()
	if k == nil {
		return nil
	}
	if err := k.lock(ctx); err != nil {
		return err
	}
	defer k.unlock()
	if !k.exists || k.stale.Load() || k.wide {
		return nil
	}
	return c.create(ctx, stream, k, queue)
}

// narrow reports whether the consumer must be widened.
func (c *consumers) narrow(queue *ledgerQueue) bool {
	c.mu.Lock()
	k := c.all[consumerKey(queue)]
	c.mu.Unlock()
	if k == nil {
		return false
	}
	select {
	case k.turn <- struct{}{}:
		defer k.unlock()
		return k.exists && !k.stale.Load() && !k.wide
	default:
		return true // somebody is making it
	}
}

func (c *consumers) release(k *consumer) {
	c.mu.Lock()
	k.users--
	k.until = time.Now().Add(consumerIdle)
	c.mu.Unlock()
}

// leave is release in two steps. Until left is called, nobody else gets the
// consumer.
func (c *consumers) leave(k *consumer) (left func(stale bool)) {
	ch := make(chan struct{})
	c.mu.Lock()
	k.leaving = ch
	c.mu.Unlock()
	return func(stale bool) {
		if stale {
			k.stale.Store(true)
		}
		c.mu.Lock()
		k.leaving = nil
		c.mu.Unlock()
		c.release(k)
		close(ch)
	}
}

// lost says that the engine does not have the consumer any more.
func (c *consumers) lost(k *consumer) {
	c.mu.Lock()
	if c.all[k.key] == k {
		delete(c.all, k.key)
	}
	c.mu.Unlock()
}

// run deletes consumers that nobody uses.
func (c *consumers) run() {
	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	for {
		select {
		case <-c.q.ctx.Done():
			return
		case <-ticks.C:
			if c.q.Err() == nil {
				c.sweep()
			}
		}
	}
}

func (c *consumers) sweep() {
	now := time.Now()
	c.mu.Lock()
	var idle []*consumer
	for _, k := range c.all {
		if k.users == 0 && !now.Before(k.until) {
			idle = append(idle, k)
		}
	}
	stream := c.stream
	c.mu.Unlock()
	for _, k := range idle {
		if c.q.ctx.Err() != nil || c.q.Err() != nil {
			return
		}
		if err := c.remove(stream, k); err != nil {
			c.q.log.Debug("a consumer that nobody uses could not be deleted", "consumer", k.key, "error", err)
		}
	}
}

// remove deletes a consumer unless somebody uses it, or some of its messages are
// unacknowledged.
func (c *consumers) remove(stream jetstream.Stream, k *consumer) error {
	ctx, cancel := context.WithTimeout(c.q.ctx, c.q.o.Timeout)
	defer cancel()
	if err := k.lock(ctx); err != nil {
		return err
	}
	defer k.unlock()
	if c.used(k) {
		return nil
	}
	if k.exists && !k.stale.Load() {
		info, err := stream.Consumer(ctx, k.name)
		if err == nil && info.CachedInfo().NumAckPending > 0 {
			c.mu.Lock()
			k.until = time.Now().Add(consumerBusy)
			c.mu.Unlock()
			return nil
		}
		if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return err
		}
	}
	if k.exists {
		if err := stream.DeleteConsumer(ctx, k.name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return err
		}
		k.exists = false
	}
	c.mu.Lock()
	if k.users == 0 && c.all[k.key] == k {
		delete(c.all, k.key)
	}
	c.mu.Unlock()
	return nil
}

func (c *consumers) used(k *consumer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return k.users > 0 || c.all[k.key] != k
}
