package broker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// queues stores the messages of work queues. [memoryQueues] completes every
// call at once. [storedQueues] may return a [completion] for an operation that
// it has accepted but not finished; nil means that the operation is done. Puts
// of one session to one queue keep their order, and each completion must end
// within bounded time. All methods are safe for concurrent use. No method blocks
// but Purge, Browse, Remove and Move, and no caller holds the lock of an outbox. [memoryQueues] calls
// subscriber.offerWork only with the batch that it was given.
type queues interface {
	// Put stores a message, or delivers it to a consumer.
	Put(bt *batch, p queuePut) (*completion, error)
	// Commit stores all messages, in order, or none.
	Commit(bt *batch, puts []queuePut) (*completion, error)
	// Consume adds sub to the consumers of a queue; deliveries begin with
	// Start. prefetch is the maximum number of unsettled messages, 0 for no
	// limit. With auto, messages are settled on delivery.
	Consume(queue string, sub *subscriber, o *queueOwner, prefetch int, auto bool) (consumer, error)
	// Purge removes the waiting messages of a queue. The error is ErrNoQueue if
	// the queue does not exist, or that of a store.
	Purge(queue string) (removed int, err error)
	// Browse returns messages as Broker.Browse does.
	Browse(ctx context.Context, queue string, after uint64, limit int) ([]QueuedMessage, error)
	// Remove removes the messages that p picks and that no consumer holds. The
	// error is as that of Purge.
	Remove(ctx context.Context, queue string, p *picker) (QueueRemoved, error)
	// Move moves the messages that mv chooses and that no consumer holds. The
	// error is as that of Purge, or the refusal by the target, as that of Put.
	Move(ctx context.Context, bt *batch, mv *queueMove) (moved int, err error)
	// Expire removes the messages that have expired.
	Expire(bt *batch)
	// Backlog makes the list of a durable subscription.
	Backlog(t backlogTerms) backlog
	// All iterates over the queues, in no order.
	All() iter.Seq[queueInfo]
}

func (b *Broker) newQueues() queues {
	dead := deadLetters(b.o.names, deadAttempts)
	switch {
	case b.o.Queues.Mode == QueueBroadcast:
		dead = nil // nobody could read them
	case b.o.QueueStore != nil:
		return newStoredQueues(b)
	}
	q := newMemoryQueues(queueLimits(b.o.Queues), dead)
	q.store().SetExpiry(b.expiry())
	q.store().SetClock(b.uptime)
	return q
}

// A consumer is one subscription to a queue. Close may be called at any time;
// after it, Start and Resume do nothing.
type consumer interface {
	Start(*batch)  // called first: deliveries begin
	Resume(*batch) // deliveries continue after the consumer refused a message
	Close(*batch)  // its unsettled messages return to the queue
}

// A backlog is the list of messages of a durable subscription: a queue with
// bounds of its own, which drops its oldest message when it is full.
type backlog interface {
	// Put stores a message, or delivers it. It ignores the queue and the owner.
	Put(bt *batch, p queuePut)
	// Consume adds the consumer. The one before is closed.
	Consume(sub *subscriber, prefetch int, auto bool) consumer
	// Info returns the present contents.
	Info() backlogInfo
	// Expire drops the messages that are too old.
	Expire()
	// Remove drops all messages, and those that are put later.
	Remove()
}

// backlogTerms are the bounds of a backlog; zero means no bound.
type backlogTerms struct {
	name     string      // the queue in whose name dead letters are sent
	owner    *queueOwner // the share that its messages count against, nil for none
	messages int
	bytes    int64
	age      time.Duration
	expired  func() // a message has expired; must not block
}

// backlogInfo describes the contents of a backlog at one moment.
type backlogInfo struct {
	Messages  int   // including unsettled ones
	Bytes     int64 // their sizes
	Unsettled int
	Dropped   int64         // because of a bound
	Oldest    time.Duration // age of the oldest message
}

// A delivery is one message delivered to one consumer.
type delivery interface {
	Message() *Message
	Redelivered() bool
	Lost() int      // number of messages that a backlog dropped before it
	Attempt() int   // number of deliveries of the message, from 1
	Expires() int64 // see times
	// Settle ends the delivery: it acknowledges the message or returns it to
	// the queue. With through it also settles all earlier deliveries of the
	// consumer. On a settled delivery it does nothing. With confirm the caller
	// wants to know when the settlement is certain.
	Settle(bt *batch, s settlement) *completion
}

// settlement is how a delivery ends. expired means that the consumer found that
// the message has expired.
type settlement struct{ ack, through, confirm, expired bool }

// queuePut is a message for a queue.
type queuePut struct {
	queue   string
	message *Message
	size    int         // bytes that count against the limits
	expires int64       // see times
	owner   *queueOwner // the share that it counts against, nil for none

	share, once string // the same for a QueueStore, see QueuePut
}

// queueInfo describes the contents of a queue at one moment.
type queueInfo struct {
	Name      string
	Messages  int   // including unsettled ones
	Bytes     int64 // their sizes
	Unsettled int   // held by consumers
	Consumers int
	Oldest    time.Time // when the oldest message was put; zero if it is not known
}

// maxQueueName is the maximum length of the name of a queue. The name of its
// dead-letter queue is longer by "DLQ.", and clients must be able to subscribe
// to that too.
const maxQueueName = topics.MaxLength - len("DLQ.")

// queueName checks the length of the name of a work queue.
func (b *Broker) queueName(name string) error {
	if len(name) <= maxQueueName {
		return nil
	}
	if _, dead := b.o.names.DeadLettersOf(name); !dead {
		return fmt.Errorf("%w: the name of a queue is longer than %d bytes", ErrDestination, maxQueueName)
	}
	return nil
}

// destination is a parsed destination, whether it is a work queue, what keeps the
// history of messages sent to it, nil for none, and whether a store keeps them. That is asked once
// for each SEND or SUBSCRIBE.
type destination struct {
	topics.Destination
	queue   bool
	archive *archive
	kept    bool // messages to it are stored for durable subscriptions
}

func (b *Broker) destination(d topics.Destination) destination {
	return destination{d, b.workQueue(d), b.archive(d), b.durables.keeps(d)}
}

// workQueue reports whether d is a queue that stores its messages and
// distributes them to consumers; any other queue is routed as a topic. A
// pattern, which is possible only in a subscription, may match both kinds of
// queue and counts as a work queue. Dead-letter queues are always work queues:
// messages are put there without calling workQueue, so their readers must use
// the same store.
func (b *Broker) workQueue(d topics.Destination) bool {
	q := &b.o.Queues
	if d.Kind != topics.Queue || q.Mode != QueueWork {
		return false
	}
	if len(q.transient) == 0 || d.Pattern {
		return true
	}
	if _, dead := b.o.names.DeadLettersOf(d.Path); dead {
		return true
	}
	for _, p := range q.transient {
		if p.Match(d.Path) {
			return false
		}
	}
	return true
}

// compileTransient compiles the patterns of Queues.Transient.
func compileTransient(list []string, names *topics.Names) ([]*topics.Pattern, error) {
	var patterns []*topics.Pattern
	for _, text := range list {
		d, err := names.Parse(text)
		_, dead := names.DeadLettersOf(text)
		switch {
		case err != nil:
			return nil, badOption("Queues.Transient", "%q: %v", text, err)
		case d.Kind != topics.Queue:
			return nil, badOption("Queues.Transient", "%q does not begin with %s/", text, strings.Join(names.Prefixes().Queue, "/ or "))
		case dead:
			return nil, badOption("Queues.Transient", "%q: dead letters are always kept", text)
		}
		p, err := topics.Compile(text)
		if err != nil {
			return nil, badOption("Queues.Transient", "%q: %v", text, err)
		}
		patterns = append(patterns, p)
	}
	return patterns, nil
}

// prefetch returns how many unacknowledged messages a subscription may have, 0
// for no limit. `prefetch-count` is RabbitMQ's name for this header,
// `activemq.prefetchSize` that of ActiveMQ; 0 means no limit per subscription,
// as in RabbitMQ. Topics ignore the header because they store nothing for a
// subscriber, see docs/decisions/topic-acks.md.
func (s *session) prefetch(f *frames.Frame, mode ackMode) (int, *Error) {
	prefetch := s.b.o.Queues.Prefetch
	for _, name := range [...]string{"prefetch-count", "activemq.prefetchSize"} {
		v, ok := f.Lookup(name)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return 0, failure(ReasonProtocolError, "%s must be a whole number, 0 for no limit but limits.unacknowledged", name)
		}
		prefetch = n
		break
	}
	if prefetch >= unlimited || mode == ackAuto {
		prefetch = 0
	}
	return prefetch, nil
}

// consume makes sub a consumer of its queue.
func (s *session) consume(sub *subscriber, f *frames.Frame) *Error {
	prefetch, fail := s.prefetch(f, sub.mode)
	if fail != nil {
		return fail
	}
	if err := s.b.queueName(sub.dest.Path); err != nil {
		return refusedByQueue(err)
	}
	k, err := s.b.queues.Consume(sub.dest.Path, sub, s.owner(), prefetch, sub.mode == ackAuto)
	if err != nil {
		return refusedByQueue(err)
	}
	sub.consumer = k
	s.addConsumer(k)
	return nil
}

func (s *session) addConsumer(k consumer) {
	s.out.mu.Lock()
	s.consumers = append(slices.Clone(s.consumers), k)
	s.out.mu.Unlock()
}

func (s *session) removeConsumer(k consumer) {
	s.out.mu.Lock()
	s.consumers = slices.DeleteFunc(slices.Clone(s.consumers), func(c consumer) bool { return c == k })
	s.out.mu.Unlock()
}

// resumeConsumers lets the queues of the session continue deliveries.
func (s *session) resumeConsumers(bt *batch) {
	s.out.mu.Lock()
	list := s.consumers
	s.out.mu.Unlock()
	for _, k := range list {
		k.Resume(bt)
	}
}

// resumeStarved calls resumeConsumers if a consumer was refused a message
// because the outbox had no room.
func (s *session) resumeStarved(bt *batch) {
	s.out.mu.Lock()
	starved := s.out.starved && !s.out.closed
	if starved {
		s.out.starved = false
	}
	s.out.mu.Unlock()
	if starved {
		s.resumeConsumers(bt)
	}
}

// store puts a publication into its queue. It counts against the share of from,
// nil for the program.
func (b *Broker) store(queue string, p *publication, from *session, bt *batch) (*completion, error) {
	put, err := b.queuePut(queue, p, from)
	if err != nil {
		return nil, err
	}
	later, err := b.queues.Put(bt, put)
	if err != nil {
		return nil, queueFull(err)
	}
	return later, nil
}

func (b *Broker) queuePut(queue string, p *publication, from *session) (queuePut, error) {
	if err := b.queueName(queue); err != nil {
		return queuePut{}, err
	}
	m := p.message()
	put := queuePut{queue: queue, message: m, size: messageSize(m), expires: p.expires}
	if from != nil {
		put.owner = from.owner()
	}
	if b.o.QueueStore != nil {
		put.identify(p, from)
	}
	return put, nil
}

// identify adds what a QueueStore needs to know of the sender, nil for the
// program.
func (put *queuePut) identify(p *publication, from *session) {
	if put.owner != nil {
		put.share = from.ownerKey().share()
	}
	put.once = p.onceOf(put.queue, from)
}

// Headers of a dead letter.
const (
	headerOriginal        = "original-destination"
	headerAttempts        = "delivery-attempts"
	headerReason          = "dead-letter-reason"
	headerOriginalExpires = "original-expires" // if the message had an expiry
)

// Values of dead-letter-reason.
const (
	deadAttempts = "attempts" // it was delivered too often
	deadExpired  = "expired"

	deadDelayRefused = "delay-refused" // its queue had no room when it was due
)

// deadLetters returns the function that makes the messages for the dead-letter
// queues. A message in such a queue stays there regardless of the number of
// failed deliveries.
func deadLetters(names *topics.Names, reason string) func(m *Message, queue string, attempts int) (string, *Message, int) {
	return func(m *Message, queue string, attempts int) (string, *Message, int) {
		name, ok := names.DeadLetters(queue)
		if !ok {
			return "", nil, 0
		}
		dead := deadLetter(m, name, reason, attempts)
		return name, dead, messageSize(dead)
	}
}

// deadLetter returns the dead letter for a message. It does not expire: as in
// RabbitMQ and ActiveMQ, it has no header that would make it expire again if it
// is sent on.
func deadLetter(m *Message, queue, reason string, attempts int) *Message {
	c := *m
	c.Destination = queue
	c.Headers = make([]frames.Header, 0, 4+len(m.Headers))
	c.Headers = append(c.Headers,
		frames.Header{Name: headerOriginal, Value: m.Destination},
		frames.Header{Name: headerAttempts, Value: strconv.Itoa(attempts)},
		frames.Header{Name: headerReason, Value: reason})
	for _, h := range m.Headers {
		switch h.Name {
		case headerOriginal, headerAttempts, headerReason, headerOriginalExpires, headerExpiration, headerTTL:
			continue // the sender's headers of the same names, and lifetimes
		case headerExpires:
			if h.Name = headerOriginalExpires; h.Value == "0" {
				continue
			}
		}
		c.Headers = append(c.Headers, h)
	}
	return &c
}

// ErrNoQueue is returned by [Broker.Purge] and the like when the queue does not
// exist: it has neither messages nor consumers.
var ErrNoQueue = errors.New("broker: no such queue")

// Purge deletes the messages that wait in a work queue, such as "/queue/jobs",
// and returns their number. They are not delivered and do not become dead
// letters. Messages that consumers hold unacknowledged are not affected. The
// error is ErrNoQueue if the queue has neither messages nor consumers, and
// ErrDestination if the name is not that of a work queue. With an
// [Options.QueueStore], Purge waits for it, and the error may be the store's.
// Safe for concurrent use.
func (b *Broker) Purge(queue string) (removed int, err error) {
	path, err := b.oneQueue(queue)
	if err != nil {
		return 0, err
	}
	return b.queues.Purge(path)
}
