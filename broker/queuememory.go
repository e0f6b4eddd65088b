package broker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/workqueue"
)

// Instances of the in-memory work queues: messages are stored as they were
// published, and outboxes that a delivery touches are added to the batch.
type (
	queueStore    = workqueue.Store[*Message, *batch]
	queueDelivery = workqueue.Delivery[*Message, *batch]
	queueOwner    = workqueue.Owner
)

// These types add the methods of the interfaces in queue.go to the instances.
// They have the same memory layout, so a conversion costs nothing.
type (
	memoryQueues   queueStore
	memoryDelivery queueDelivery
	memoryReceiver subscriber
)

func newMemoryQueues(l workqueue.Limits, dead func(m *Message, queue string, attempts int) (string, *Message, int)) *memoryQueues {
	return (*memoryQueues)(workqueue.New[*Message, *batch](l, dead))
}

func (q *memoryQueues) store() *queueStore { return (*queueStore)(q) }

func (q *memoryQueues) Put(bt *batch, p queuePut) (*completion, error) {
	return nil, q.store().PutOne(bt, p.memory())
}

func (p *queuePut) memory() workqueue.Put[*Message] {
	return workqueue.Put[*Message]{Owner: p.owner, Queue: p.queue, Message: p.message, Size: p.size, Expires: p.expires}
}

func (q *memoryQueues) Commit(bt *batch, puts []queuePut) (*completion, error) {
	list := make([]workqueue.Put[*Message], len(puts))
	for i, p := range puts {
		list[i] = p.memory()
	}
	return nil, q.store().PutAll(bt, list)
}

func (q *memoryQueues) Consume(queue string, sub *subscriber, o *queueOwner, prefetch int, auto bool) (consumer, error) {
	k, err := q.store().ConsumeFor(o, queue, (*memoryReceiver)(sub), prefetch, auto)
	if err != nil {
		return nil, err
	}
	return k, nil
}

func (q *memoryQueues) Backlog(t backlogTerms) backlog {
	return memoryBacklog{q.store().NewBacklog(workqueue.Terms{
		Name: t.name, Owner: t.owner, Messages: t.messages, Bytes: t.bytes, Age: t.age, Expired: t.expired,
	})}
}

type memoryBacklog struct {
	list *workqueue.Backlog[*Message, *batch]
}

func (l memoryBacklog) Put(bt *batch, p queuePut) { l.list.Put(bt, p.memory()) }
func (l memoryBacklog) Info() backlogInfo         { return backlogInfo(l.list.Stats()) }
func (l memoryBacklog) Expire()                   { l.list.Sweep() }
func (l memoryBacklog) Remove()                   { l.list.Remove() }

func (l memoryBacklog) Consume(sub *subscriber, prefetch int, auto bool) consumer {
	return l.list.Consume((*memoryReceiver)(sub), prefetch, auto)
}

func (q *memoryQueues) Purge(queue string) (removed int, err error) {
	removed, found := q.store().Purge(queue)
	if !found {
		return 0, ErrNoQueue
	}
	return removed, nil
}

func (q *memoryQueues) Browse(_ context.Context, queue string, after uint64, limit int) ([]QueuedMessage, error) {
	list, found := q.store().Browse(queue, after, limit)
	if !found {
		return nil, ErrNoQueue
	}
	out := make([]QueuedMessage, len(list))
	for i := range list {
		it := &list[i]
		out[i] = QueuedMessage{
			Message: it.Message, Sequence: it.Place, Bytes: it.Size, Put: it.Put,
			Attempts: it.Attempts, Redelivered: it.Redelivered, Held: it.Held,
		}
		if it.Expires != 0 {
			out[i].Expires = time.UnixMilli(it.Expires)
		}
	}
	return out, nil
}

func (q *memoryQueues) Remove(_ context.Context, queue string, p *picker) (out QueueRemoved, _ error) {
	removed, found := q.store().Remove(queue, func(it workqueue.Item[*Message]) bool {
		return p.pick(it.Message.ID, it.Place)
	}, func(it workqueue.Item[*Message]) {
		if p.wants(it.Message.ID, it.Place) {
			out.Held++
		}
	})
	if !found {
		return out, ErrNoQueue
	}
	out.Removed = len(removed)
	return out, nil
}

func (q *memoryQueues) Move(_ context.Context, bt *batch, mv *queueMove) (moved int, _ error) {
	moved, found, err := q.store().Move(bt, mv.from, func(it workqueue.Item[*Message]) bool {
		return mv.choose(it.Message, it.Place)
	}, func(m *Message) workqueue.Put[*Message] {
		c, size := mv.moved(m)
		return workqueue.Put[*Message]{Queue: mv.to, Message: c, Size: size}
	})
	if !found {
		return 0, ErrNoQueue
	}
	return moved, err
}

func (q *memoryQueues) Expire(bt *batch) { q.store().Sweep(bt) }

func (q *memoryQueues) All() iter.Seq[queueInfo] {
	return func(yield func(queueInfo) bool) {
		for st := range q.store().Queues() {
			if !yield(queueInfo(st)) {
				return
			}
		}
	}
}

// Offer implements workqueue.Receiver. The caller holds the queue's lock.
func (r *memoryReceiver) Offer(bt *batch, d *queueDelivery) bool {
	return (*subscriber)(r).offerWork((*memoryDelivery)(d), bt)
}

func (d *memoryDelivery) work() *queueDelivery { return (*queueDelivery)(d) }
func (d *memoryDelivery) Message() *Message    { return d.work().Message() }
func (d *memoryDelivery) Redelivered() bool    { return d.work().Redelivered() }
func (d *memoryDelivery) Lost() int            { return d.work().Lost() }
func (d *memoryDelivery) Attempt() int         { return d.work().Attempt() }
func (d *memoryDelivery) Expires() int64       { return d.work().Expires() }

func (d *memoryDelivery) Settle(bt *batch, s settlement) *completion {
	switch w := d.work(); {
	case s.expired:
		w.Expire(bt)
	case s.ack && s.through:
		w.AckThrough(bt)
	case s.ack:
		w.Ack(bt)
	case s.through:
		w.NackThrough(bt)
	default:
		w.Nack(bt)
	}
	return nil
}

func queueLimits(q Queues) workqueue.Limits {
	return workqueue.Limits{
		Messages: q.Messages, Bytes: q.Bytes, Queues: q.Queues, TotalBytes: q.TotalBytes,
		OwnerQueues: q.QueuesPerUser, OwnerBytes: q.BytesPerUser, Attempts: q.Attempts,
	}
}

// expiry returns what the queues in memory do with expired messages.
func (b *Broker) expiry() workqueue.Expiry[*Message] {
	letter := deadLetters(b.o.names, deadExpired)
	return workqueue.Expiry[*Message]{
		Now: moment,
		Expired: func(m *Message, queue string, attempts int) (string, *Message, int) {
			b.stats.expired.Add(1)
			if b.o.Queues.Expired == ExpiredDrop {
				return "", nil, 0
			}
			return letter(m, queue, attempts)
		},
		Dropped: func(_ *Message, queue string, err error) {
			b.warn("an expired message was dropped because it does not fit into the queue of dead letters", source{what: queue}, "queue", queue, "error", err)
		},
	}
}

// refusedByQueue returns the error for the client about a refusal by the
// queues.
func refusedByQueue(err error) *Error {
	var full *workqueue.FullError
	if errors.As(err, &full) {
		return failure(ReasonLimit, "%s (%s)", full.Error(), queueLimitKeys[full.Limit])
	}
	var stored *QueueFullError
	if errors.As(err, &stored) {
		return failure(ReasonLimit, "%s (%s)", stored.Error(), stored.Key)
	}
	return refusedByStore(err)
}

// refusedLater returns the error for the program about a message that was not
// stored after all.
func refusedLater(err error) error {
	var full *workqueue.FullError
	if errors.As(err, &full) || isFull(err) {
		return queueFull(err)
	}
	return err
}

// queueFull returns the error for the program about a refusal by the queues. It
// names the key of the limit, if that is known.
func queueFull(err error) error {
	var stored *QueueFullError
	var full *workqueue.FullError
	key := ""
	switch {
	case errors.As(err, &stored):
		key = stored.Key
	case errors.As(err, &full):
		key = queueLimitKeys[full.Limit]
	}
	if key == "" || strings.Contains(err.Error(), key) {
		return fmt.Errorf("%w: %w", ErrQueueFull, err)
	}
	return fmt.Errorf("%w: %w (%s)", ErrQueueFull, err, key)
}

// limitedBy returns what the limit with a configuration key limits, worded to
// follow a number.
func limitedBy(key string) string {
	for what, k := range queueLimitKeys {
		if k == key {
			return what
		}
	}
	return "(" + key + ")"
}

// queueLimitKeys are the configuration keys of the queue limits.
var queueLimitKeys = map[string]string{
	workqueue.LimitMessages:    "queues.messages",
	workqueue.LimitBytes:       "queues.bytes",
	workqueue.LimitQueues:      "queues.queues",
	workqueue.LimitTotalBytes:  "queues.total_bytes",
	workqueue.LimitOwnerQueues: "queues.queues_per_user",
	workqueue.LimitOwnerBytes:  "queues.bytes_per_user",
}
