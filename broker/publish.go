package broker

import (
	"context"
	"fmt"
	"strings"

	"github.com/hoofbeat/hoofbeat/topics"
)

// Publish sends m to its destination: a topic, a queue, or `/user/{name}/…`,
// as a client's SEND would, but without asking the Authorizer. When it returns
// nil the message is in the outbox of every subscriber, or stored in its queue.
// It never waits for a client. The error is ErrDestination, ErrNUL, ErrQueueFull,
// ErrClosed or that of ctx. Safe for concurrent use; messages that one goroutine
// publishes arrive in order.
//
// To answer a request, publish to the value of its `reply-to` header. If that is
// /reply-queue/… and the requester has gone, the error is ErrNoSession. With a
// [Directed] Relay the requester may be on another broker: Publish waits for its
// answer, and the error is *[PartialError] if there is none in time.
//
// A message with the header message-dedup-id is published once within two
// minutes: Publish returns ErrDuplicate if a message with the same id was
// published to the same destination before, and ErrHeader or ErrLimit if the id
// is empty or cannot be remembered.
//
// The headers expires, expiration and ttl say when a message expires, and delay
// when it is delivered, see docs/headers.md; ErrHeader names one with a wrong
// value. Until a delayed message is due, [Broker.Delayed] lists it and
// [Broker.CancelDelayed] removes it. ErrLimit says that too many messages
// are delayed.
func (b *Broker) Publish(ctx context.Context, m *Message) error {
	d, err := b.publishable(ctx, m)
	if err != nil {
		return err
	}
	asks := asked(m.Headers)
	if asks&asksOnce != 0 {
		return b.publishOnce(ctx, m, d, asks)
	}
	bt, p, err := b.beginTimed(m, d.Name, asks)
	if err != nil {
		return err
	}
	defer bt.flushLater()
	_, later, err := b.accept(d, p, nil, bt)
	if err != nil || later == nil {
		return err
	}
	return b.stored(ctx, later, bt)
}

// stored waits until a message is stored. It first writes the outboxes in the
// batch.
func (b *Broker) stored(ctx context.Context, later *completion, bt *batch) error {
	bt.flush()
	select {
	case err := <-later.wait():
		return refusedLater(err)
	case <-ctx.Done():
		return ctx.Err()
	case <-b.ctx.Done():
		return ErrClosed
	}
}

// accept stores a publication in its queue or delivers it to the subscribers of
// its topic or user. from is the session whose queue share it counts against,
// nil for the program. If later is not nil, the message is stored after accept
// returns.
func (b *Broker) accept(d destination, p *publication, from *session, bt *batch) (out Delivery, later *completion, err error) {
	switch {
	case p.due != 0:
		later, err = b.postpone(d, p, from, bt)
	case d.queue:
		later, err = b.store(d.Path, p, from, bt)
	default:
		if d.kept {
			later = b.durables.accept(d, p)
		}
		if later == nil {
			once := ""
			if d.stored() {
				once = p.onceOf(d.Name, from)
			}
			out, later, err = b.distribute(d, p, from, once, bt)
		}
	}
	if err != nil {
		return out, nil, err
	}
	if later != nil && (b.o.QueueStore != nil || d.kept || d.archive != nil) {
		return out, b.countStored(later), nil
	}
	b.stats.published.Add(1)
	return out, later, nil
}

// countStored counts a message as published when it is stored. It returns the
// completion to wait for in place of later.
func (b *Broker) countStored(later *completion) *completion {
	stored := new(completion)
	later.whenEnded(func(err error) {
		if err == nil {
			b.stats.published.Add(1)
		}
		stored.end(err)
	})
	return stored
}

// distribute delivers a publication that no queue stores, unless it has expired.
// from is the session that sent it, nil for the program. If later is not nil, it
// is stored and delivered after distribute returns. A history that is stored
// accepts once, if it is not "", one time. The error is errNobody.
func (b *Broker) distribute(d destination, p *publication, from *session, once string, bt *batch) (out Delivery, later *completion, err error) {
	switch {
	case b.tooLate(p.expires):
	case d.Kind == topics.Reply:
		if out, err = b.answer(d.Path, p, bt); err != nil {
			bt.sendRelayed() // comes before
			later, err = b.answerElsewhere(d.Path, p, from)
		}
	case d.archive != nil:
		later = d.archive.deliver(b, d.Destination, p, once, bt)
	default:
		out = b.deliver(d.Destination, p, bt)
		if b.o.Relay != nil {
			b.relay(d.Destination, p, from, bt)
		}
	}
	return out, later, err
}

// PublishToUser sends m to every session of a user that subscribed to
// m.Destination. Write m.Destination without the user prefix: "/queue/news" or
// "/topic/authorization" reaches subscriptions to /user/queue/news and so on
// (as Spring's SimpMessagingTemplate.convertAndSendToUser). If the user has no
// sessions, that is no error: the Delivery contains the number of subscriptions
// reached.
//
// With a [Directed] Relay these are the sessions on all brokers: PublishToUser
// waits for their answers, and if one does not answer in time, the error is
// *[PartialError] and the Delivery is that of the others. After the error of ctx
// the message may have reached sessions on other brokers.
func (b *Broker) PublishToUser(ctx context.Context, user string, m *Message) (Delivery, error) {
	path, err := b.privatePath(ctx, m)
	if err != nil {
		return Delivery{}, err
	}
	m = b.identified(m)
	out, err := b.publishTo(topics.Destination{Kind: topics.UserNamed, User: user, Path: path}, m, b.userPrefix()+path)
	if err != nil {
		return out, err
	}
	return b.toUserElsewhere(ctx, user, m, out)
}

// publishTo delivers m to the subscriptions of d, which no queue stores. They
// see name as its destination.
func (b *Broker) publishTo(d topics.Destination, m *Message, name string) (Delivery, error) {
	asks := asked(m.Headers)
	if err := asks.deliveryOnly(); err != nil {
		return Delivery{}, err
	}
	bt, p, err := b.beginTimed(m, name, asks)
	if err != nil {
		return Delivery{}, err
	}
	defer bt.flushLater()
	p.Redelivered = m.Redelivered
	out, _, err := b.accept(b.destination(d), p, nil, bt)
	return out, err
}

// PublishToSession is PublishToUser for one session only. It returns
// ErrNoSession if no session has this id. m.Destination can also be the
// /reply-queue/… of a request that this session has sent. With a [Directed]
// Relay the session may be on another broker, as for PublishToUser.
func (b *Broker) PublishToSession(ctx context.Context, session string, m *Message) (Delivery, error) {
	if b.replies.of(m.Destination, session) {
		return b.publishAnswer(ctx, m)
	}
	path, err := "", error(nil)
	if _, ok := b.elsewhere(session); ok && strings.HasPrefix(m.Destination, replyPrefix) {
		err = b.takes(ctx, m)
	} else {
		path, err = b.privatePath(ctx, m)
	}
	asks := asked(m.Headers)
	if err == nil {
		err = asks.deliveryOnly()
	}
	if err != nil {
		return Delivery{}, err
	}
	if b.session(session) == nil {
		return b.toSessionElsewhere(ctx, session, m)
	}
	bt, p, err := b.beginTimed(m, b.userPrefix()+path, asks)
	if err != nil {
		return Delivery{}, err
	}
	defer bt.flushLater()
	p.Redelivered = m.Redelivered
	b.stats.published.Add(1)
	if b.tooLate(p.expires) {
		return Delivery{}, nil
	}
	return b.deliverToSession(session, path, p, bt), nil
}

// deliveryOnly refuses headers that only Publish takes: its result does not
// include a Delivery.
func (a asks) deliveryOnly() error {
	name := headerDedup
	switch {
	case a&asksOnce != 0:
	case a&asksDelay != 0:
		name = headerDelay
	default:
		return nil
	}
	return fmt.Errorf("%w: a message with %s must be published to /user/{name}/… with Publish", ErrHeader, name)
}

// publishable returns the destination of a message that the program may publish
// there: a topic, a queue or a user's.
func (b *Broker) publishable(ctx context.Context, m *Message) (destination, error) {
	if err := b.takes(ctx, m); err != nil {
		return destination{}, err
	}
	parsed, err := b.o.names.Parse(m.Destination)
	if err != nil {
		return destination{}, fmt.Errorf("%w: %w", ErrDestination, err)
	}
	d := b.destination(parsed)
	if !d.literal() {
		return d, fmt.Errorf("%w: a message cannot be sent to a pattern", ErrDestination)
	}
	if d.Kind == topics.Topic && b.presence.owns(d.Path) {
		return d, fmt.Errorf("%w: only the broker sends to %q, the events of presence", ErrDestination, m.Destination)
	}
	if handled(d.Kind) {
		return d, fmt.Errorf("%w: %s is neither a topic, a queue nor a user's", ErrDestination, d.Name)
	}
	return d, nil
}

// takes returns an error if the program cannot publish m, whatever its
// destination.
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

// literal reports whether a message can be sent to d as it is written. A ? is
// literal where patterns can match it, as in /topic/items?category=5; a * never
// is, since a sender that writes * means a pattern.
func (d *destination) literal() bool {
	if !d.Pattern {
		return true
	}
	shared := d.Kind == topics.Topic || d.Kind == topics.App || d.Kind == topics.Queue && !d.queue
	return shared && !strings.Contains(d.Path, "*")
}

// privatePath checks a destination in the form that PublishToUser takes. It
// also accepts the form that clients use, /user/queue/news.
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

// beginTimed is begin for a message whose headers may say when it is due and
// when it expires.
func (b *Broker) beginTimed(m *Message, destination string, asks asks) (*batch, *publication, error) {
	bt, p := b.begin(m, destination)
	if asks&asksTime != 0 {
		if err := p.honour(); err != nil {
			bt.release()
			return nil, nil, fmt.Errorf("%w: %w", ErrHeader, err)
		}
	}
	return bt, p, nil
}

// begin starts the publication of a program's message.
func (b *Broker) begin(m *Message, destination string) (*batch, *publication) {
	bt := b.newBatch()
	p := &bt.pub
	p.set(m, destination)
	p.Redelivered = false
	if p.ID == "" {
		p.Prefix, p.Seq = b.idPrefix, b.nextID()
	}
	if m.Settled != nil {
		c := *p.message()
		c.Settled = m.Settled
		p.msg = &c
	}
	return bt, p
}
