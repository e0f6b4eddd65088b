package broker

import (
	"cmp"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/internal/schedule"
)

// A message with a delay waits until it is due, and is then delivered as if it
// had just been sent. The rules were asked when it was sent.

// delays keeps the messages that are not due yet, and has them delivered.
// [memoryDelays] completes every call of Put at once, unless the queues do not.
type delays interface {
	// Put has messages wait and stores puts in their queues: all or none.
	Put(bt *batch, items []*delayedItem, puts []queuePut) (*completion, error)
	// Cancel removes a message. The error is ErrNotDelayed, or that of a store,
	// for which it waits.
	Cancel(id string) error
	All() []DelayedMessage
	Stats() (messages int, bytes int64)
	// close ends the deliveries. A message that is being delivered may still be.
	close()
	// logKept logs what becomes of the messages when the broker ends.
	logKept()
}

func (b *Broker) newDelays() delays {
	if store, ok := b.o.QueueStore.(DelayStore); ok && b.o.Queues.Mode == QueueWork {
		return newStoredDelays(b, store)
	}
	return newMemoryDelays(b)
}

// postponed is a message that is not due yet.
type postponed struct {
	m       *Message
	expires int64
	user    string
	once    string       // see QueuePut
	refused atomic.Int32 // how often its queue refused it
}

// delayOwner is the client whose share a message counts against, while it waits
// and later in its queue. The zero value has no share: the program and backends.
type delayOwner struct {
	quotaKey
	shares bool
}

type delayedItem = schedule.Item[delayOwner, *postponed]

// ErrNotDelayed is returned by [Broker.CancelDelayed] if no message with the ID
// waits: it was delivered, is being delivered, or never existed.
var ErrNotDelayed = errors.New("broker: no such delayed message")

// DelayedMessage describes a message that waits until it is due.
type DelayedMessage struct {
	ID          string // its message-id
	Destination string
	User        string    // who sent it; "" for the program and for anonymous clients
	Due         time.Time // for one that was refused, the next attempt
	Refused     int       // how often its queue had no room, since the broker has started
	Bytes       int64     // its memory
}

// Delayed returns the messages that are not due yet, in the order in which they
// will be. The list is a snapshot made when the iteration begins.
func (b *Broker) Delayed() iter.Seq[DelayedMessage] {
	return func(yield func(DelayedMessage) bool) {
		all := b.delays.All()
		slices.SortFunc(all, func(x, y DelayedMessage) int {
			return cmp.Or(x.Due.Compare(y.Due), strings.Compare(x.ID, y.ID))
		})
		for i := range all {
			if !yield(all[i]) {
				return
			}
		}
	}
}

// CancelDelayed removes a delayed message: it is not delivered. The error is
// ErrNotDelayed. With a [DelayStore], CancelDelayed waits for it, and the error
// may be the store's.
func (b *Broker) CancelDelayed(id string) error { return b.delays.Cancel(id) }

// delay returns the item for a publication that is not due yet. from is its
// sender, nil for the program.
func (b *Broker) delay(d destination, p *publication, from *session) (*delayedItem, error) {
	if d.queue {
		if err := b.queueName(d.Path); err != nil {
			return nil, err
		}
	}
	m := p.message()
	it := &delayedItem{ID: m.ID, Due: p.due, Size: int64(messageSize(m) + schedule.Overhead), Value: &postponed{m: m, expires: p.expires}}
	if from != nil {
		it.Value.user = from.userName()
		if from.owner() != nil {
			it.Owner = delayOwner{from.ownerKey(), true}
		}
	}
	if b.o.QueueStore != nil {
		it.Value.once = p.onceOf(d.Name, from)
	}
	return it, nil
}

// postpone has a publication delivered when it is due.
func (b *Broker) postpone(d destination, p *publication, from *session, bt *batch) (*completion, error) {
	it, err := b.delay(d, p, from)
	if err != nil {
		return nil, err
	}
	return b.delays.Put(bt, []*delayedItem{it}, nil)
}

// delayKeys are the configuration keys of the limits.
var delayKeys = map[schedule.Limit]string{
	schedule.LimitItems: "queues.delayed", schedule.LimitItemsPerOwner: "queues.delayed_per_user",
	schedule.LimitBytes: "queues.delayed_bytes", schedule.LimitBytesPerOwner: "queues.delayed_bytes_per_user",
}

// delayRefused returns the error about a message that cannot be delayed. Any
// other error stays what it is.
func delayRefused(err error) error {
	var full *schedule.FullError
	var stored *QueueFullError
	switch {
	case errors.As(err, &full):
		return &refusal{ErrLimit, failure(ReasonLimit, "%s (%s)", full.Error(), delayKeys[full.Limit])}
	case errors.As(err, &stored) && strings.HasPrefix(stored.Key, delayKeys[schedule.LimitItems]):
		return &refusal{ErrLimit, failure(ReasonLimit, "%s (%s)", stored.Error(), stored.Key)}
	case errors.Is(err, schedule.ErrExists), errors.Is(err, ErrDelayedExists):
		return &refusal{ErrHeader, failure(ReasonProtocolError, "%s", schedule.ErrExists.Error())}
	}
	return err
}

// dueMessage is a message that is due, with whatever has kept it.
type dueMessage interface {
	content() (id string, x *postponed)
	// waits reports whether the message is put off, which depends on whether it
	// goes to a queue.
	waits(queue bool) bool
	// move puts the message, or its dead letter, into a queue, and removes it if
	// that succeeds. It calls then with the outcome, at once or later.
	move(queue string, m *Message, expires int64, bt *batch, then func(error, *batch))
	// remove removes it.
	remove()
	// again has it delivered later.
	again(pause time.Duration)
}

// deliverDue delivers a message that is due.
func (b *Broker) deliverDue(it dueMessage, bt *batch) {
	id, x := it.content()
	parsed, err := b.o.names.Parse(x.m.Destination)
	if err != nil { // it was read before, perhaps with other prefixes
		b.warn("a delayed message cannot be delivered because of its destination", source{what: x.m.Destination}, "id", id, "destination", x.m.Destination, "error", err)
		it.again(delayPause)
		return
	}
	d := b.destination(parsed)
	if it.waits(d.queue) {
		return
	}
	if !d.queue {
		b.distributeDue(it, d, bt)
		return
	}
	it.move(d.Path, x.m, x.expires, bt, func(err error, bt *batch) {
		if err != nil {
			b.refusedDue(it, d.Path, err, bt)
		}
	})
}

// distributeDue delivers a message that no queue stores. One that could not be
// stored is tried again, so it may be there twice.
func (b *Broker) distributeDue(it dueMessage, d destination, bt *batch) {
	_, x := it.content()
	p := &bt.pub
	p.set(x.m, x.m.Destination)
	p.msg, p.expires = x.m, x.expires
	var later *completion
	if d.kept {
		later = b.durables.accept(d, p)
	}
	if later == nil {
		_, later, _ = b.distribute(d, p, nil, "", bt) // an answer whose requester has gone is dropped
	}
	if later == nil {
		it.remove()
		return
	}
	later.whenEnded(func(err error) { b.keptOrLater(it, err) })
}

// keptOrLater removes a message that was stored, or tries again after a pause.
func (b *Broker) keptOrLater(it dueMessage, err error) {
	if err == nil {
		it.remove()
		return
	}
	id, x := it.content()
	b.warn("a delayed message waits because it cannot be stored", source{what: x.m.Destination},
		"destination", x.m.Destination, "id", id, "error", err)
	it.again(min(time.Second<<min(x.refused.Add(1)-1, 6), delayPause))
}

// delayAttempts is how often a message is offered to a queue that refuses it,
// with pauses of 1, 2, 4, 8 and 16 s. Then it becomes a dead letter.
const delayAttempts = 6

// delayPause is the pause after the queue of dead letters refused it too, and
// before a destination that is unknown is looked at again.
const delayPause = time.Minute

// refusedDue tries again later with a message that its queue refused, or makes
// it a dead letter. It is never dropped.
func (b *Broker) refusedDue(it dueMessage, queue string, why error, bt *batch) {
	id, x := it.content()
	if n := x.refused.Add(1); n < delayAttempts {
		it.again(time.Second << (n - 1))
		return
	}
	stuck := func() {
		b.warn("a delayed message waits because its queue and the queue of dead letters refuse it", source{what: queue}, "queue", queue, "id", id, "error", why)
		it.again(delayPause)
	}
	name, dead, _ := deadLetters(b.o.names, deadDelayRefused)(x.m, queue, 0)
	if name == "" { // it was sent to a queue of dead letters
		stuck()
		return
	}
	it.move(name, dead, 0, bt, func(err error, _ *batch) {
		if err != nil {
			stuck()
			return
		}
		b.warn("a delayed message became a dead letter because its queue refused it", source{what: queue}, "queue", queue, "id", id, "error", why)
	})
}

// delayRound is how many messages are delivered before the outboxes are
// written.
const delayRound = 256

// deliverAllDue delivers messages in rounds until next returns none.
func deliverAllDue[T dueMessage](b *Broker, next func(n int) []T) {
	for {
		due := next(delayRound)
		if len(due) == 0 {
			return
		}
		bt := b.newBatch()
		for _, it := range due {
			b.deliverDue(it, bt)
			bt.pub.reset()
		}
		bt.flush()
		bt.yield()
		bt.release()
	}
}
