package broker

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// QueueInfo describes a work queue.
type QueueInfo struct {
	Name           string
	Messages       int   // including unacknowledged ones
	Bytes          int64 // their sizes
	Unacknowledged int   // delivered to consumers, which have not acknowledged them
	Consumers      int
	// DeadLettersOf is the queue whose dead letters these are, "" if they are
	// none.
	DeadLettersOf string
	// Oldest is when the oldest message was put into the queue. It is zero if
	// there is none, or if an [Options.QueueStore] does not tell.
	Oldest time.Time
}

// Queues returns the work queues, in no order: those that have messages or
// consumers, since there is no other. Each is read separately, so a message that
// is moved or becomes a dead letter may appear in two. Safe for concurrent use.
func (b *Broker) Queues() iter.Seq[QueueInfo] {
	return func(yield func(QueueInfo) bool) {
		for q := range b.queues.All() {
			if !yield(b.describe(q)) {
				return
			}
		}
	}
}

// Queue returns one of [Broker.Queues]. The error is that of [Broker.Purge].
func (b *Broker) Queue(name string) (QueueInfo, error) {
	path, err := b.oneQueue(name)
	if err != nil {
		return QueueInfo{}, err
	}
	for q := range b.queues.All() {
		if q.Name == path {
			return b.describe(q), nil
		}
	}
	return QueueInfo{}, ErrNoQueue
}

func (b *Broker) describe(q queueInfo) QueueInfo {
	of, _ := b.o.names.DeadLettersOf(q.Name)
	return QueueInfo{
		Name: q.Name, Messages: q.Messages, Bytes: q.Bytes, Unacknowledged: q.Unsettled, Consumers: q.Consumers,
		DeadLettersOf: of, Oldest: q.Oldest,
	}
}

// oneQueue returns the work queue with a name.
func (b *Broker) oneQueue(name string) (path string, _ error) {
	d, err := b.o.names.Parse(name)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrDestination, err)
	}
	if d.Pattern || !b.workQueue(d) {
		return "", fmt.Errorf("%w: %q does not name one work queue", ErrDestination, name)
	}
	return d.Path, nil
}

// QueuedMessage is a message in a work queue.
type QueuedMessage struct {
	// Message is the message as it was sent. It is shared and must not be
	// changed.
	Message *Message
	// Sequence is the place in the order of the queue: greater for later
	// messages, and never used again while the broker runs, or longer with an
	// [Options.QueueStore].
	Sequence    uint64
	Bytes       int       // what counts against the limits of the queue
	Put         time.Time // into this queue; zero if a store does not tell
	Expires     time.Time // zero: never
	Attempts    int       // failed deliveries
	Redelivered bool      // a consumer may have seen it before
	// Held is true if a consumer of this broker has the message and has not
	// acknowledged it.
	Held bool
}

// browsed is how many messages Browse returns if its caller does not say.
const browsed = 100

// Browse returns messages of a work queue without removing them, the oldest
// first: at most limit, by default 100, with a sequence greater than after. For
// the next ones, pass the sequence of the last. Consumers and other callers are
// not disturbed, so messages may be gone that were listed. The error is that of
// [Broker.Purge], or that of ctx. Safe for concurrent use.
func (b *Broker) Browse(ctx context.Context, queue string, after uint64, limit int) ([]QueuedMessage, error) {
	path, err := b.oneQueue(queue)
	if err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = browsed
	}
	return b.queues.Browse(ctx, path, after, limit)
}

// QueueSelection says which messages of a queue are meant. The zero value means
// all of them.
type QueueSelection struct {
	// IDs and Sequences name messages, each by its Message.ID or its
	// QueuedMessage.Sequence. If both are empty, all messages are meant.
	IDs       []string
	Sequences []uint64
	// After means only messages with a greater sequence.
	After uint64
	// Limit is the maximum number of messages, of which the oldest are taken.
	// Zero or less means no limit.
	Limit int
}

// picker is a selection that can be asked for each message.
type picker struct {
	ids       map[string]struct{}
	sequences map[uint64]struct{}
	after     uint64
	limit     int
	chosen    int
}

func (s *QueueSelection) picker() *picker {
	p := &picker{after: s.After, limit: s.Limit, ids: make(map[string]struct{}, len(s.IDs)), sequences: make(map[uint64]struct{}, len(s.Sequences))}
	for _, id := range s.IDs {
		p.ids[id] = struct{}{}
	}
	for _, n := range s.Sequences {
		p.sequences[n] = struct{}{}
	}
	return p
}

// wants reports whether a message is one of the selection, whatever its limit.
func (p *picker) wants(id string, sequence uint64) bool {
	if sequence <= p.after {
		return false
	}
	if len(p.ids)+len(p.sequences) == 0 {
		return true
	}
	_, named := p.sequences[sequence]
	if !named {
		_, named = p.ids[id]
	}
	return named
}

// full reports whether the limit is reached.
func (p *picker) full() bool { return p.limit > 0 && p.chosen >= p.limit }

// pick chooses a message if it is one of the selection.
func (p *picker) pick(id string, sequence uint64) bool {
	if p.full() || !p.wants(id, sequence) {
		return false
	}
	p.chosen++
	return true
}

// QueueRemoved is the result of [Broker.RemoveMessages].
type QueueRemoved struct {
	Removed int
	// Held is how many messages stay because a consumer holds them: it may be
	// working on them.
	Held int
}

// ErrSelection is the error of [Broker.RemoveMessages] for a selection that
// names no message.
var ErrSelection = fmt.Errorf("broker: no message is named: use Purge to remove all")

// RemoveMessages removes single messages from a work queue. They are not
// delivered and do not become dead letters. The selection must have IDs or
// Sequences; those that are not in the queue are ignored. The error is that of
// [Broker.Purge], that of ctx, or ErrSelection. Safe for concurrent use.
func (b *Broker) RemoveMessages(ctx context.Context, queue string, s QueueSelection) (QueueRemoved, error) {
	path, err := b.oneQueue(queue)
	if err != nil {
		return QueueRemoved{}, err
	}
	if len(s.IDs)+len(s.Sequences) == 0 {
		return QueueRemoved{}, ErrSelection
	}
	return b.queues.Remove(ctx, path, s.picker())
}
