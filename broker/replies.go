package broker

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// Where a session gets answers, as in RabbitMQ. A SEND with
// `reply-to:/temp-queue/x` subscribes its session to /temp-queue/x, which is
// private to the session and ends with it. Receivers of the message see a
// `reply-to` of /reply-queue/ and an id that cannot be guessed. Whoever has that
// name may send to it, and nobody can subscribe to it. A SUBSCRIBE to
// /temp-queue/x, as clients of ActiveMQ send it before the request, makes the
// same destination with an id of the client's choice.

const headerReplyTo = "reply-to"

// isTempQueue reports whether the value of a reply-to header asks for a
// destination for answers.
func isTempQueue(value string) bool { return strings.HasPrefix(value, "/temp-queue/") }

// replyPrefix begins the names to which answers are sent.
const replyPrefix = "/reply-queue/"

// replyBytes is the memory for a destination for answers besides its
// subscription: its name for others, and its entry in replies.
const replyBytes = 160

// replies are the subscriptions that get answers, by the name to which others
// send them. The zero value is ready to use.
type replies struct {
	mu  sync.RWMutex
	all map[string]*subscriber
}

func (r *replies) find(name string) *subscriber {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.all[name]
}

// of reports whether name is one of the destinations for answers of the session
// with an id.
func (r *replies) of(name, session string) bool {
	if !strings.HasPrefix(name, replyPrefix) {
		return false
	}
	sub := r.find(name)
	return sub != nil && sub.s.id == session
}

// set makes sub the one that gets the answers sent to its name.
func (r *replies) set(sub *subscriber) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = make(map[string]*subscriber)
	}
	r.all[sub.dest.Path] = sub
}

// remove removes sub, unless another one gets its answers now.
func (r *replies) remove(sub *subscriber) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all[sub.dest.Path] == sub {
		delete(r.all, sub.dest.Path)
		if len(r.all) == 0 {
			r.all = nil // a map does not shrink
		}
	}
}

// errNobody is the error about an answer that nobody can get any more.
var errNobody = fmt.Errorf("%w: the one that sent the request has gone", ErrNoSession)

// saysUnroutable is the header of a RECEIPT for such an answer. It is no ERROR:
// that would end the session of whoever answers, and a client could cause it for
// all others by sending a request and leaving.
const saysUnroutable = "unroutable:true\n"

func unroutable() *completion { return &completion{ended: true, says: saysUnroutable} }

// unroutable settles an answer with such a RECEIPT, if one was asked for.
func (a *response) unroutable() {
	if s := a.session.Load(); s != nil && a.receipt != nil {
		a.replace(encode.Receipt(s.wire.Framing(), s.version, a.id, saysUnroutable))
	}
	a.settle(nil)
}

// answer delivers a publication to the session that gets the answers sent to a
// name. The error is errNobody.
func (b *Broker) answer(name string, p *publication, bt *batch) (Delivery, error) {
	for {
		sub := b.replies.find(name)
		if sub == nil {
			return Delivery{}, errNobody
		}
		p.Single = true
		if sub.enqueue(p, bt) {
			b.stats.delivered.Add(1)
			return Delivery{Subscriptions: 1}, nil
		}
		if b.replies.find(name) == sub { // the session is ending
			return Delivery{}, errNobody
		} // else a SUBSCRIBE has just replaced it
	}
}

// expectReplies makes the destination that the reply-to header of a SEND names,
// unless the session has it already, and replaces the value of the header by
// the name to which others can send.
func (s *session) expectReplies(f *frames.Frame, bt *batch) *Error {
	h := firstHeader(f.Headers, headerReplyTo)
	if h == nil || !isTempQueue(h.Value) { // a repeated header: the first one counts
		return nil
	}
	sub := s.repliesTo(h.Value)
	if sub == nil {
		var fail *Error
		if sub, fail = s.imply(h.Value, bt); fail != nil {
			return fail
		}
	}
	h.Value = sub.dest.Path
	return nil
}

func firstHeader(list []frames.Header, name string) *frames.Header {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

// repliesTo returns the subscription of this session for the answers to
// name, such as /temp-queue/x, or nil.
func (s *session) repliesTo(name string) *subscriber {
	for _, sub := range s.subs {
		if sub.dest.Kind == topics.Reply && sub.dest.Name == name {
			return sub
		}
	}
	return nil
}

// imply subscribes the session to name, such as /temp-queue/x, without a
// SUBSCRIBE. As in RabbitMQ, the id of the subscription is the name.
func (s *session) imply(name string, bt *batch) (*subscriber, *Error) {
	d, err := s.b.o.names.ParseSubscription(name)
	if err != nil {
		return nil, failure(ReasonProtocolError, "%s header: %v", headerReplyTo, err)
	}
	if s.find(name) != nil {
		return nil, failure(ReasonProtocolError, "%s header: %s is already the id of another subscription", headerReplyTo, strconv.QuoteToASCII(name))
	}
	if fail := s.roomFor(name, d, "", noPresence); fail != nil {
		return nil, fail
	}
	name = strings.Clone(name) // a header's string keeps the whole header block alive
	sub := &subscriber{s: s, Recipient: encode.Recipient{ID: name}, dest: topics.Destination{Kind: topics.Reply, Name: name, Path: name}, implied: true}
	if fail := s.mayTakeReplies(sub); fail != nil {
		return nil, fail
	}
	s.ordinal++
	sub.ordinal = s.ordinal
	s.routeReplies(sub)
	s.keep(sub)
	s.tell(bt, func(o *Observer) {
		if o.Subscribed != nil {
			o.Subscribed(s.info(), name, sub.ID)
		}
	})
	return sub, nil
}

// implies reports whether sub was made by a SEND and the client now subscribes
// to the same destination.
func (sub *subscriber) implies(d topics.Destination) bool {
	return sub.implied && d.Kind == topics.Reply && d.Name == sub.dest.Name
}

// mayTakeReplies prepares a subscription to a destination for answers, or
// refuses it.
func (s *session) mayTakeReplies(sub *subscriber) *Error {
	n := 0
	for _, other := range s.subs {
		switch {
		case other.dest.Kind != topics.Reply:
		case other.dest.Name != sub.dest.Name:
			n++
		case !other.implied:
			return failure(ReasonProtocolError, "%s has a subscription already", strconv.QuoteToASCII(sub.dest.Name))
		}
	}
	if l := s.b.policy.Load().limits; n >= l.ReplyDestinations {
		return failure(ReasonLimit, "more than %d destinations for answers (limits.reply_destinations): use one for many requests, or end one with UNSUBSCRIBE", l.ReplyDestinations)
	}
	sub.As = sub.dest.Name
	return nil
}

// routeReplies has sub get the answers to its destination. It ends the
// subscription that a SEND has made: no message goes there once the RECEIPT of
// the SUBSCRIBE is sent.
func (s *session) routeReplies(sub *subscriber) {
	old := s.repliesTo(sub.dest.Name)
	if old == nil {
		sub.dest.Path = replyPrefix + newSessionID(s.b.nodeID)
		s.b.replies.set(sub)
		return
	}
	sub.dest.Path = old.dest.Path
	s.b.replies.set(sub)
	bt := s.work()
	s.detach(old, bt)
	s.tellUnsubscribed(bt, EndedByClient, old)
}

// publishAnswer publishes m to a destination for answers of a session that is
// connected.
func (b *Broker) publishAnswer(ctx context.Context, m *Message) (Delivery, error) {
	if err := b.takes(ctx, m); err != nil {
		return Delivery{}, err
	}
	return b.publishTo(topics.Destination{Kind: topics.Reply, Name: m.Destination, Path: m.Destination}, m, m.Destination)
}

// replyToTemporary sends the answer of a handler to a destination that is the
// session's own.
func (r *Request) replyToTemporary(ctx context.Context, m *Message, to string) (Delivery, error) {
	b := r.s.b
	if err := b.takes(ctx, m); err != nil {
		return Delivery{}, err
	}
	bt, p := b.begin(m, to)
	defer r.sent(bt)
	p.Redelivered = m.Redelivered
	return b.answer(to, p, bt)
}
