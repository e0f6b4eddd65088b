package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/hook"
	"github.com/hoofbeat/hoofbeat/topics"
)

// SubscribeOptions configure an in-process subscription.
type SubscribeOptions struct {
	// Buffer is the maximum number of messages that wait for the function.
	// Default 1,000. A topic subscription that exceeds it is ended with
	// ErrSlowConsumer; a queue keeps its messages until there is room.
	Buffer int
	// Offset says where a subscription to topics with a [History] begins, in
	// the forms of the offset header of a SUBSCRIBE: first, last, next, -<n>,
	// <epoch>:<n> (what follows the message with this offset header) or a time
	// such as 2026-01-31T15:04:05Z. Live messages follow, in one unbroken
	// order. The first message has the header recovered, as a client's has, and
	// [Subscription.Recovered] tells the same at once. Messages of the history
	// wait for room in the Buffer. Default: live messages only.
	Offset string
}

// Subscription is an in-process subscription made by [Broker.Subscribe].
type Subscription struct {
	b      *Broker
	sub    *subscriber
	fn     func(context.Context, *Message) error
	ctx    context.Context
	cancel context.CancelFunc
	buffer int
	stop   func() bool

	recovered bool

	overrun atomic.Bool // a message of a topic found no room: the subscription is being ended

	mu      sync.Mutex
	waiting []localMessage
	running bool
	starved bool // the queue has messages for which there was no room
	closed  bool
	retry   retries
	err     error
	done    chan struct{}
}

type localMessage struct {
	m       *Message
	work    delivery
	expires int64 // see times
}

// Subscribe calls fn for every message to a topic, to an Ant pattern of topics,
// or for this consumer's share of a queue: one at a time, in order, and never
// on the publisher's goroutine. For a topic, an error from fn is logged. For a
// queue, nil from fn acknowledges the message, and an error refuses it: the
// message is delivered again after 50 ms, doubling up to 5 s, and after
// Queues.Attempts deliveries it goes to the dead-letter queue. Later messages
// are delivered meanwhile, but if fn fails several times in a row, it is called
// at the same reduced rate. A transient queue, see [Queues], behaves like a
// topic.
//
// With a [Relay], a subscription to topics waits until every live broker knows
// it, as the RECEIPT of a client's SUBSCRIBE does: what another broker accepts
// after Subscribe has returned is not missed. fn may be called meanwhile.
//
// The subscription ends with ctx, with [Subscription.Cancel], with the broker,
// or when fn is too slow.
func (b *Broker) Subscribe(ctx context.Context, destination string, o SubscribeOptions, fn func(context.Context, *Message) error) (*Subscription, error) {
	if fn == nil {
		return nil, errors.New("broker: subscribe: nil function")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, err := b.o.names.Parse(destination)
	if err != nil {
		return nil, fmt.Errorf("broker: subscribe: %w", err)
	}
	if err := b.presence.unwatchable(d); err != nil {
		return nil, fmt.Errorf("broker: subscribe to %q: %w", destination, err)
	}
	work := b.workQueue(d)
	if d.Kind != topics.Topic && d.Kind != topics.Queue || work && d.Pattern {
		return nil, fmt.Errorf("broker: subscribe to %q: only topics, patterns of topics and single queues", destination)
	}
	set(&o.Buffer, 1000, unlimited)
	var at *beginning
	if o.Offset != "" {
		if at = parseOffset(o.Offset); at == nil {
			return nil, fmt.Errorf("broker: subscribe: offset %s is none of %s", quoted(o.Offset), offsetForms)
		}
	}
	l := &Subscription{b: b, fn: fn, buffer: o.Buffer, done: make(chan struct{})}
	l.sub = &subscriber{local: l, dest: d, queue: work, present: b.presence.role(d)}
	l.ctx, l.cancel = context.WithCancel(ctx)
	var generation uint64
	if work {
		if err := b.queueName(d.Path); err != nil {
			l.cancel()
			return nil, fmt.Errorf("broker: subscribe: %w", err)
		}
		k, err := b.queues.Consume(d.Path, l.sub, nil, o.Buffer, false)
		if err != nil {
			l.cancel()
			return nil, fmt.Errorf("broker: subscribe: %w", err)
		}
		l.sub.consumer = k
	} else if generation, err = l.follow(at); err != nil {
		l.cancel()
		return nil, fmt.Errorf("broker: subscribe: the history of %s could not be read: %w", quoted(d.Name), err)
	}
	b.stats.subscriptions.Add(1)
	if err := b.addLocal(l); err != nil { // from now on Close ends it
		l.end(err)
		return nil, err
	}
	l.mu.Lock()
	l.stop = context.AfterFunc(ctx, func() { l.end(context.Cause(ctx)) })
	l.mu.Unlock()
	if work {
		bt := b.newBatch()
		l.sub.consumer.Start(bt)
		bt.flushLater()
	} else if r := l.sub.replay.Load(); r != nil {
		r.launch()
	}
	if err := l.knownElsewhere(ctx, generation); err != nil {
		l.end(err)
		return nil, err
	}
	return l, nil
}

// Cancel ends the subscription. It cancels the context of a call that is
// running or about to start; after Done, fn is not called again. Unacknowledged
// messages return to their queue.
func (l *Subscription) Cancel() { l.end(nil) }

// Done returns a channel that is closed when the subscription has ended and its
// function has returned.
func (l *Subscription) Done() <-chan struct{} { return l.done }

// Recovered reports whether it is proven that the subscription gets every
// message after SubscribeOptions.Offset, of every destination that it matches.
// If not, what is kept follows, and something may be missing. It is true only
// for an offset in the form <epoch>:<n>. If the subscription is later so slow
// that a history drops messages before it gets them, it ends with
// ErrSlowConsumer; if it has not recovered, it goes on, and the first message
// after the gap has the header recovered:false.
func (l *Subscription) Recovered() bool { return l.recovered }

// Err returns the cause of the end: nil after Cancel or while the subscription
// is active, ErrSlowConsumer, ErrClosed, or the cause of the context.
func (l *Subscription) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *Subscription) end(err error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed, l.err = true, err
	l.waiting, l.retry.later = nil, nil
	if l.retry.timer != nil {
		l.retry.timer.Stop()
	}
	idle, stop := !l.running, l.stop
	l.mu.Unlock()
	l.cancel()
	if stop != nil {
		stop()
	}
	if l.sub.consumer != nil {
		bt := l.b.newBatch()
		l.sub.consumer.Close(bt)
		bt.flushLater()
	} else {
		l.b.router.Unsubscribe("", l.sub.dest, l.sub)
		l.b.presence.unwatch(l.sub)
	}
	if r := l.sub.replay.Load(); r != nil {
		r.Close(nil)
	}
	l.b.stats.subscriptions.Add(-1)
	l.b.removeLocal(l)
	if idle {
		close(l.done)
	}
}

// offer adds a topic message to the buffer. If the publisher holds a lock, code
// of the program, such as its logger, runs later.
func (l *Subscription) offer(m localMessage, locked bool) bool {
	taken, behind := l.put(m)
	if !behind || l.overrun.Swap(true) {
		return taken
	}
	if !locked || !l.b.spawn(l.tooSlow) {
		l.tooSlow()
	}
	return taken
}

func (l *Subscription) tooSlow() {
	l.b.warn("an in-process subscription was too slow and was ended", source{what: l.sub.dest.Name}, "destination", l.sub.dest.Name, "buffer", l.buffer)
	l.end(ErrSlowConsumer)
}

// offerWork adds a queue message to the buffer. The caller holds the queue's
// lock.
func (l *Subscription) offerWork(m *Message, d delivery) bool {
	if d.Redelivered() {
		c := *m
		c.Redelivered = true
		m = &c
	}
	taken, _ := l.put(localMessage{m, d, d.Expires()})
	if taken {
		l.b.stats.delivered.Add(1)
	}
	return taken
}

func (l *Subscription) put(m localMessage) (taken, behind bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false, false
	}
	if len(l.waiting) >= l.buffer {
		l.starved = true
		return false, true
	}
	if c := claim(l.sub.claim.Load()); c != saysNothing {
		l.sub.claim.Store(uint32(saysNothing))
		m.m = c.on(m.m)
	}
	l.waiting = append(l.waiting, m)
	if !l.running && !l.pausing(time.Now()) {
		if !l.b.spawn(l.run) {
			l.waiting = nil
			return false, false
		}
		l.running = true
	}
	return true, false
}

// run calls the function until no message is waiting.
func (l *Subscription) run() {
	for {
		l.mu.Lock()
		if l.closed || len(l.waiting) == 0 {
			l.running, l.waiting = false, nil
			closed := l.closed
			l.mu.Unlock()
			if closed {
				close(l.done)
			}
			return
		}
		if l.pausing(time.Now()) { // the timer continues
			l.running = false
			l.mu.Unlock()
			return
		}
		next := l.waiting[0]
		l.waiting[0] = localMessage{}
		l.waiting = l.waiting[1:]
		resume := l.starved && len(l.waiting) <= l.buffer/2
		r := l.sub.replay.Load()
		if r != nil {
			resume = l.starved && len(l.waiting) == 0
		}
		if resume {
			l.starved = false
		}
		l.mu.Unlock()
		if resume && r != nil {
			r.Resume(nil)
		}

		late := expired(next.expires)
		var err error
		if !late {
			err = hook.Call(l.b.hookPanicked, "Subscribe function", func() error { return l.fn(l.ctx, next.m) })
		}
		if err != nil {
			l.b.warn("an in-process subscription refused a message", source{what: l.sub.dest.Name}, "destination", next.m.Destination, "error", err)
		}
		bt := l.b.newBatch()
		switch {
		case late:
			l.giveUp(next, bt)
		case next.work == nil:
		case err != nil:
			l.refuse(next.work, bt)
		default:
			l.succeeded(next.work, bt)
		}
		if resume && l.sub.consumer != nil {
			l.sub.consumer.Resume(bt)
		}
		bt.flush()
		bt.release()
	}
}

// giveUp drops a message of a topic that has expired before the function was
// free; the queue of another one decides what becomes of it.
func (l *Subscription) giveUp(m localMessage, bt *batch) {
	if m.work != nil {
		m.work.Settle(bt, settlement{expired: true})
	} else {
		l.b.stats.expired.Add(1)
	}
}
