package broker

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/hoofbeat/hoofbeat/broker/internal/workqueue"
	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// Publish sends m to its destination: a topic, a queue, or `/user/{name}/…`,
// as a client's SEND would, but without asking the Authorizer. When it returns
// nil the message is in the outbox of every subscriber, or stored in its queue.
// It never waits for a client. The error is ErrDestination, ErrNUL, ErrQueueFull,
// ErrClosed or that of ctx. Safe for concurrent use; messages that one goroutine publishes
// arrive in order.
func (b *Broker) Publish(ctx context.Context, m *Message) error {
	d, err := b.publishable(ctx, m, m.Destination)
	if err != nil {
		return err
	}
	if d.Kind == topics.App || d.Kind == topics.UserPrivate {
		return fmt.Errorf("%w: %s is neither a topic, a queue nor a user's", ErrDestination, d.Name)
	}
	bt, p := b.begin(m, d.Name)
	defer bt.flushLater()
	return b.route(d, p, nil, bt)
}

// route delivers a publication to a topic, a queue or a named user. from is the
// session whose share of the queues it counts for, nil for the program's.
func (b *Broker) route(d topics.Destination, p *publication, from *session, bt *batch) error {
	switch {
	case d.Kind == topics.UserNamed:
		p.destination = b.userPrefix() + d.Path
		b.deliverToUser(d.User, d.Path, p, bt)
	case b.workQueue(d):
		if err := b.queueName(d.Path); err != nil {
			return err
		}
		var o *workqueue.Owner
		if from != nil {
			o = from.owner()
		}
		m := p.message()
		if err := b.queues.PutFor(bt, o, d.Path, m, messageSize(m)); err != nil {
			return fmt.Errorf("%w: %w", ErrQueueFull, err)
		}
	default:
		b.fanOut(d, p, bt)
	}
	b.stats.published.Add(1)
	return nil
}

// PublishToUser sends m to every session of a user that subscribed to
// m.Destination, which is written as a client subscribes to it without the user
// prefix: "/queue/news" or "/topic/authorization" reaches subscriptions of
// /user/queue/news and so on (Spring's SimpMessagingTemplate.convertAndSendToUser).
// A user without sessions is no error: the Delivery says how many were reached.
func (b *Broker) PublishToUser(ctx context.Context, user string, m *Message) (Delivery, error) {
	path, err := b.privatePath(ctx, m)
	if err != nil {
		return Delivery{}, err
	}
	bt, p := b.begin(m, b.userPrefix()+path)
	defer bt.flushLater()
	p.redelivered = m.Redelivered
	b.stats.published.Add(1)
	return b.deliverToUser(user, path, p, bt), nil
}

// PublishToSession is PublishToUser for one session only. ErrNoSession says
// that there is none with this id.
func (b *Broker) PublishToSession(ctx context.Context, session string, m *Message) (Delivery, error) {
	path, err := b.privatePath(ctx, m)
	if err != nil {
		return Delivery{}, err
	}
	if b.session(session) == nil {
		return Delivery{}, ErrNoSession
	}
	bt, p := b.begin(m, b.userPrefix()+path)
	defer bt.flushLater()
	p.redelivered = m.Redelivered
	b.stats.published.Add(1)
	var out Delivery
	b.deliverToSession(session, path, p, bt, &out, true)
	return out, nil
}

func (b *Broker) publishable(ctx context.Context, m *Message, destination string) (topics.Destination, error) {
	if err := b.takes(ctx, m); err != nil {
		return topics.Destination{}, err
	}
	d, err := b.o.names.Parse(destination)
	if err != nil {
		return d, fmt.Errorf("%w: %w", ErrDestination, err)
	}
	if !b.literal(d) {
		return d, fmt.Errorf("%w: a message cannot be sent to a pattern", ErrDestination)
	}
	return d, nil
}

// takes reports what keeps a program from publishing m, wherever it goes.
func (b *Broker) takes(ctx context.Context, m *Message) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case b.ctx.Err() != nil:
		return ErrClosed
	case b.refusesBody(m.Body):
		return ErrNUL
	}
	return nil
}

// literal reports whether d means what it says to a message. A ? is taken as it
// is where patterns can match it, as in /topic/items?category=5; whoever sends
// to a * means something else.
func (b *Broker) literal(d topics.Destination) bool {
	if !d.Pattern {
		return true
	}
	shared := d.Kind == topics.Topic || d.Kind == topics.App || d.Kind == topics.Queue && !b.workQueue(d)
	return shared && !strings.Contains(d.Path, "*")
}

// privatePath checks a destination as PublishToUser takes it; the form that
// clients use, /user/queue/news, is understood too.
func (b *Broker) privatePath(ctx context.Context, m *Message) (string, error) {
	names, name := b.o.names, m.Destination
	if !strings.HasPrefix(name, b.userPrefix()+"/") {
		if b.handlers(name) {
			return "", fmt.Errorf("%w: %q is a handler's", ErrDestination, name)
		}
		name = b.userPrefix() + name
	}
	if err := b.takes(ctx, m); err != nil {
		return "", err
	}
	d, err := names.ParseSubscription(name)
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: %w", ErrDestination, err)
	case d.Kind != topics.UserPrivate:
		return "", fmt.Errorf("%w: %q names a user; want what follows the name, as /queue/news", ErrDestination, m.Destination)
	case d.Pattern:
		return "", fmt.Errorf("%w: a message cannot be sent to a pattern", ErrDestination)
	}
	return d.Path, nil
}

// begin starts the publication of a program's message.
func (b *Broker) begin(m *Message, destination string) (*batch, *publication) {
	bt := b.newBatch()
	p := &bt.pub
	p.set(m, destination)
	p.redelivered = false
	if p.id == "" {
		p.prefix, p.seq = b.idPrefix, b.nextID()
	}
	if m.Settled != nil {
		c := *p.message()
		c.Settled = m.Settled
		p.msg = &c
	}
	return bt, p
}

// fanOut delivers to every subscription that matches a shared destination.
func (b *Broker) fanOut(d topics.Destination, p *publication, bt *batch) {
	n := int64(0)
	subs := b.router.Match(d)
	p.single = len(subs) == 1
	for _, sub := range subs {
		if sub.deliver(p, bt) {
			n++
		}
	}
	b.stats.delivered.Add(n)
}

// deliverToUser delivers to the sessions of a user.
func (b *Broker) deliverToUser(user, path string, p *publication, bt *batch) (out Delivery) {
	sessions := b.router.Sessions(user)
	for _, session := range sessions {
		b.deliverToSession(session, path, p, bt, &out, len(sessions) == 1)
	}
	return out
}

// deliverToSession delivers to one session; only says that no other gets p.
func (b *Broker) deliverToSession(session, path string, p *publication, bt *batch, out *Delivery, only bool) {
	subs := b.router.MatchSession(session, path)
	p.single = only && len(subs) == 1
	for _, sub := range subs {
		if sub.deliver(p, bt) {
			out.Subscriptions++
			b.stats.delivered.Add(1)
			if sub.mode != ackAuto {
				out.Unacknowledged++
			}
		}
	}
}

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

func queueLimits(q Queues) workqueue.Limits {
	return workqueue.Limits{
		Messages: q.Messages, Bytes: q.Bytes, Queues: q.Queues, TotalBytes: q.TotalBytes,
		OwnerQueues: q.QueuesPerUser, OwnerBytes: q.BytesPerUser, Attempts: q.Attempts,
	}
}
