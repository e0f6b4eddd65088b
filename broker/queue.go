package broker

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// queues is what the broker needs of that which keeps the messages of work
// queues. [memoryQueues] answers everything at once. Another one may return a
// [completion] where it takes something that it has not finished; nil means that
// it is done. Puts of one session to one queue keep their order, and each
// completion must end within bounded time. All methods are safe for concurrent
// use; none blocks, none calls subscription.offerWork but with the batch that it
// was given, and none is called with the lock of an outbox held.
type queues interface {
	// Put stores a message, or hands it to a consumer.
	Put(bt *batch, p queuePut) (*completion, error)
	// Commit stores all of them, in order, or none.
	Commit(bt *batch, puts []queuePut) (*completion, error)
	// Consume adds sub to the consumers of a queue, from its Start on. prefetch is
	// how many messages it may hold unsettled, 0 for any number; with auto they
	// are settled when they are taken.
	Consume(queue string, sub *subscription, o *queueOwner, prefetch int, auto bool) (consumer, error)
	// Purge removes what waits in a queue. found is false if there is none.
	Purge(queue string) (removed int, found bool)
	// All goes over the queues, in no order.
	All() iter.Seq[queueInfo]
}

// A consumer is one subscription to a queue. Close may come at any time, and
// after it the other two do nothing.
type consumer interface {
	Start(*batch)  // the first call: it takes part from now on
	Resume(*batch) // it has refused a message and may be offered some again
	Close(*batch)  // what it holds goes back
}

// A delivery is one message in the hands of one consumer.
type delivery interface {
	Message() *Message
	Redelivered() bool
	Attempt() int // counts its deliveries, from 1
	// Settle ends the delivery: ack, or give it back. With through it covers all
	// that the consumer was given before. Settled already, it does nothing. With
	// confirm the caller wants to know when it is certain.
	Settle(bt *batch, s settlement) *completion
}

// settlement is how a delivery ends.
type settlement struct{ ack, through, confirm bool }

// queuePut is a message for a queue.
type queuePut struct {
	queue   string
	message *Message
	size    int         // what it counts for
	owner   *queueOwner // whose share it counts for, nil for nobody's
}

// queueInfo is what a queue holds at a moment.
type queueInfo struct {
	Name      string
	Messages  int   // the unsettled ones included
	Bytes     int64 // their sizes
	Unsettled int   // that consumers hold
	Consumers int
}

// maxQueueName is the longest name of a queue: that of its dead letters is longer
// by "DLQ.", and must be one that somebody can subscribe to.
const maxQueueName = topics.MaxLength - len("DLQ.")

// queueName checks the name of a work queue.
func (b *Broker) queueName(name string) error {
	if len(name) <= maxQueueName {
		return nil
	}
	if _, dead := b.o.names.DeadLettersOf(name); !dead {
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

// store puts a publication into its queue. It counts for the share of from, nil
// for the program.
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
	put := queuePut{queue: queue, message: m, size: messageSize(m)}
	if from != nil {
		put.owner = from.owner()
	}
	return put, nil
}

func queueFull(err error) error { return fmt.Errorf("%w: %w", ErrQueueFull, err) }
