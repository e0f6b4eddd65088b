package broker

import (
	"context"
	"fmt"
	"hash/maphash"
	"strconv"

	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// A Relay joins this broker to others, so that a message that is published to a
// topic on one of them reaches the subscribers of all. Package broker/cluster
// has one over NATS. The broker does not close it: close it after the broker.
//
// All methods are safe for concurrent use, and none but Start may wait for
// another node.
type Relay interface {
	// Start is called once, by [New], before any other method. What other
	// brokers publish is given to p from now on. An error is that of New.
	Start(p Peer) error
	// Interest says that a topic, a transient queue or a pattern of them has got
	// its first subscriber here, or has lost its last. Reports may arrive in the
	// wrong order, see [topics.Index.Watch]. It must not call the broker.
	Interest(i topics.Interest)
	// Settle calls done once, on any goroutine, when every live broker knows the
	// interests up to a generation, or with an error if that will never be. done
	// may be called before Settle returns. The RECEIPT of a SUBSCRIBE waits for
	// it.
	Settle(generation uint64, done func(error))
	// Publish hands a message that was accepted here to the brokers that have
	// subscribers for it. Messages with the same Origin stay in order. What
	// cannot be handed over is lost for them: the relay counts and logs it.
	Publish(e *Envelope)
}

// A BatchRelay is a [Relay] that takes what a client has sent at once together,
// which costs the brokers less.
type BatchRelay interface {
	Relay
	Batch() RelayBatch
}

// A RelayBatch gathers messages that Publish would get one by one. One goroutine
// uses it.
type RelayBatch interface {
	// Add takes a message. It is handed over at Send, or before.
	Add(e *Envelope)
	// Send hands over what was added, in order. The broker calls it once, before
	// it waits for anything, and uses the batch no more.
	Send()
}

// A Peer is the broker as its [Relay] sees it.
type Peer struct {
	// Node identifies this run of the broker: twelve lower-case letters and
	// digits, with which the ids of its messages begin.
	Node string
	// Frame is the size of the largest frame that a client may send.
	Frame int
	// Deliver delivers a message of another broker to the subscribers of this
	// one. It is never handed on. Messages with the same Origin must be delivered
	// one after the other, others may be delivered at the same time.
	Deliver func(e *Envelope)
	// Answer answers a question of another broker, in the order that Deliver
	// keeps.
	Answer func(q *Question) Answer
}

// An Envelope is a message between brokers. It owns nothing: everything in it is
// valid during the call only.
type Envelope struct {
	// Destination is the topic, the transient queue or the destination of a user
	// as its sender wrote it.
	Destination string
	// User is the one whose sessions get the message, if the Relay is [Directed]
	// and Destination is a user's. The receiver finds the name in Destination.
	User string
	ID   string // message-id
	// Origin identifies the publisher within its broker: a session, or with 0
	// the program.
	Origin  uint64
	Headers []frames.Header
	Body    []byte
}

// origins makes the Origin of a session out of its id.
var origins = maphash.MakeSeed()

// joinRelay begins to report interests and to receive messages.
func (b *Broker) joinRelay() error {
	r := b.o.Relay
	if r == nil {
		return nil
	}
	b.router.Watch(r.Interest)
	return r.Start(Peer{Node: b.nodeID, Frame: b.o.Limits.Frame, Deliver: b.deliverForeign, Answer: b.answerOther})
}

// relay hands a publication that was accepted here to the other brokers. from is
// the session that sent it, nil for the program. It leaves with bt.
func (b *Broker) relay(d topics.Destination, p *publication, from *session, bt *batch) {
	switch {
	case d.Kind == topics.Topic, d.Kind == topics.Queue:
	case d.Kind == topics.UserNamed && b.directed != nil && d.Name != "": // without a name: PublishToUser asks
		if p.msg != nil && p.msg.Settled != nil {
			bt.sendRelayed() // comes before
			b.askToUser(d, p)
			return
		}
	default:
		return
	}
	e := b.envelope(p, p.Destination, from)
	if d.Kind == topics.UserNamed {
		e.Destination, e.User = d.Name, d.User // p has what the user's sessions see
	}
	if b.relayBatches == nil {
		b.o.Relay.Publish(&e)
		return
	}
	if bt.relayed == nil {
		bt.relayed = b.relayBatches.Batch()
	}
	bt.relayed.Add(&e)
}

// sendRelayed hands over what the batch has for other brokers.
func (bt *batch) sendRelayed() {
	if bt.relayed != nil {
		bt.relayed.Send()
		bt.relayed = nil
	}
}

// envelope returns a publication as other brokers get it.
func (b *Broker) envelope(p *publication, destination string, from *session) Envelope {
	e := Envelope{Destination: destination, ID: p.ID, Headers: p.Headers, Body: p.Body}
	if e.ID == "" {
		e.ID = p.Prefix + strconv.FormatUint(p.Seq, 10)
	}
	if from != nil {
		e.Origin = maphash.String(origins, from.id)
	}
	return e
}

// askToUser hands a message to other brokers whose publisher waits for outcomes,
// though for no Delivery.
func (b *Broker) askToUser(d topics.Destination, p *publication) {
	m := *p.msg
	m.Destination = d.Path
	q := b.asking(ToUser, &m)
	q.User = d.User
	b.directed.Ask("", q, func(_ Answer, err error) {
		if err != nil {
			b.warn("a message did not reach the sessions of a user on all brokers", source{what: d.User}, "user", d.User, "error", err)
		}
	})
}

// deliverForeign delivers what was accepted by another broker. Who may send it
// there was decided there.
func (b *Broker) deliverForeign(e *Envelope) {
	d, err := b.o.names.Parse(e.Destination)
	if err != nil || b.ctx.Err() != nil {
		return // the other broker has other prefixes, or this one has ended
	}
	switch {
	case d.Kind == topics.Topic, d.Kind == topics.UserNamed && !d.Pattern && b.directed != nil:
	case d.Kind == topics.Queue && !b.workQueue(d):
	default:
		return
	}
	bt := b.newBatch()
	defer bt.flushLater()
	p := &bt.pub
	p.ID, p.Destination, p.Headers, p.Body = e.ID, e.Destination, e.Headers, e.Body
	if asked(e.Headers)&asksTime != 0 && p.honour() != nil || b.tooLate(p.expires) {
		return
	}
	b.deliver(d, p, bt)
}

// knownElsewhere returns what ends when all live brokers know the interest that sub has
// caused or shares, or nil if nothing has to be waited for.
func (s *session) knownElsewhere(sub *subscriber, generation uint64) *completion {
	if generation == 0 {
		return nil
	}
	c := new(completion)
	s.b.o.Relay.Settle(generation, func(err error) {
		c.end(s.notKnown(sub, err))
	})
	return c
}

// knownElsewhere waits until all live brokers know the interest that the
// subscription has caused or shares. It waits no longer than the subscription
// lives.
func (l *Subscription) knownElsewhere(ctx context.Context, generation uint64) error {
	if generation == 0 {
		return nil
	}
	known := make(chan error, 1)
	l.b.o.Relay.Settle(generation, func(err error) { known <- err })
	select {
	case err := <-known:
		if err != nil {
			return fmt.Errorf("broker: subscribe to %s: other brokers could not be told: %w", quoted(l.sub.dest.Name), err)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.ctx.Done():
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := l.Err(); err != nil {
			return err
		}
		return ErrClosed
	}
}

// validateRelay refuses what is of one broker only.
func (o *Options) validateRelay() error {
	if o.Relay == nil {
		return nil
	}
	switch {
	case len(o.History) > 0:
		return badOption("History", "cannot be used together with Relay: offsets are those of one broker")
	case len(o.Durable) > 0:
		return badOption("Durable", "cannot be used together with Relay: durable subscriptions are those of one broker")
	case len(o.Presence) > 0:
		return badOption("Presence", "cannot be used together with Relay: the lists are those of one broker")
	}
	return nil
}
