package broker

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hoofbeat/hoofbeat/broker/internal/workqueue"
	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// Instances of the bookkeeping of /queue destinations: messages are kept as
// they were published, and what a hand-over touches goes into the batch.
type (
	queueStore    = workqueue.Store[*Message, *batch]
	queueConsumer = workqueue.Consumer[*Message, *batch]
	queueDelivery = workqueue.Delivery[*Message, *batch]
)

// maxQueueName is the longest name of a queue: that of its dead letters is longer
// by "DLQ.", and must be one that somebody can subscribe to.
const maxQueueName = topics.MaxLength - len("DLQ.")

// queueName checks the name of a work queue.
func (b *Broker) queueName(name string) error {
	if _, dead := b.o.names.DeadLettersOf(name); len(name) > maxQueueName && !dead {
		return fmt.Errorf("%w: the name of a queue is longer than %d bytes", ErrDestination, maxQueueName)
	}
	return nil
}

// workQueue reports whether d is a queue whose messages are kept and shared out;
// any other queue is routed as a topic. The queues of a pattern, which only a
// subscription can name, may be of both sorts, so they count as kept. And so do
// those of dead letters, which are put there without asking here: who reads them
// must look in the same place.
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

// compileTransient prepares the patterns of Queues.Transient.
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

func queueLimits(q Queues) workqueue.Limits {
	return workqueue.Limits{
		Messages: q.Messages, Bytes: q.Bytes, Queues: q.Queues, TotalBytes: q.TotalBytes,
		OwnerQueues: q.QueuesPerUser, OwnerBytes: q.BytesPerUser, Attempts: q.Attempts,
	}
}

// consume makes sub a consumer of its queue. `prefetch-count`, RabbitMQ's name for
// it, bounds what it holds unacknowledged; 0 means no bound of its own, as there.
// Topics take the header and ignore it: they keep nothing for a subscriber, see
// docs/decisions/topic-acks.md.
func (s *session) consume(sub *subscription, f *frames.Frame) *Error {
	prefetch := s.b.o.Queues.Prefetch
	if v, ok := f.Lookup("prefetch-count"); ok {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return failure(ReasonProtocolError, "prefetch-count must be a whole number, 0 for no limit but limits.unacknowledged")
		}
		prefetch = n
	}
	if prefetch >= unlimited || sub.mode == ackAuto {
		prefetch = 0
	}
	if err := s.b.queueName(sub.dest.Path); err != nil {
		return refusedByQueue(err)
	}
	k, err := s.b.queues.ConsumeFor(s.owner(), sub.dest.Path, sub, prefetch, sub.mode == ackAuto)
	if err != nil {
		return refusedByQueue(err)
	}
	sub.consumer = k
	s.addConsumer(k)
	return nil
}

func (s *session) addConsumer(k *queueConsumer) {
	s.out.mu.Lock()
	s.consumers = append(slices.Clone(s.consumers), k)
	s.out.mu.Unlock()
}

func (s *session) removeConsumer(k *queueConsumer) {
	s.out.mu.Lock()
	s.consumers = slices.DeleteFunc(slices.Clone(s.consumers), func(c *queueConsumer) bool { return c == k })
	s.out.mu.Unlock()
}

// resumeConsumers lets the queues of the session go on handing out.
func (s *session) resumeConsumers(bt *batch) {
	s.out.mu.Lock()
	list := s.consumers
	s.out.mu.Unlock()
	for _, k := range list {
		k.Resume(bt)
	}
}

// resumeStarved does so if a consumer was refused a message for want of room.
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

// Headers that a dead letter carries.
const (
	headerOriginal = "original-destination"
	headerAttempts = "delivery-attempts"
)

// deadLetters returns what makes the messages for the dead-letter queues. What is
// in such a queue stays there however often it is refused.
func deadLetters(names *topics.Names) func(m *Message, queue string, attempts int) (string, *Message, int) {
	return func(m *Message, queue string, attempts int) (string, *Message, int) {
		name, ok := names.DeadLetters(queue)
		if !ok {
			return "", nil, 0
		}
		dead := deadLetter(m, name, attempts)
		return name, dead, messageSize(dead)
	}
}

func deadLetter(m *Message, queue string, attempts int) *Message {
	c := *m
	c.Destination = queue
	c.Headers = []frames.Header{
		{Name: headerOriginal, Value: m.Destination},
		{Name: headerAttempts, Value: strconv.Itoa(attempts)},
	}
	for _, h := range m.Headers { // what the sender called so is not what we say
		if h.Name != headerOriginal && h.Name != headerAttempts {
			c.Headers = append(c.Headers, h)
		}
	}
	return &c
}

// store puts a publication into its queue. It counts for the share of from, nil
// for the program.
func (b *Broker) store(queue string, p *publication, from *session, bt *batch) error {
	if err := b.queueName(queue); err != nil {
		return err
	}
	var o *workqueue.Owner
	if from != nil {
		o = from.owner()
	}
	m := p.message()
	if err := b.queues.PutFor(bt, o, queue, m, messageSize(m)); err != nil {
		return fmt.Errorf("%w: %w", ErrQueueFull, err)
	}
	return nil
}
