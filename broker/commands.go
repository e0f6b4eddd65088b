package broker

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// command handles one frame of the client; frames are handled in the order of
// arrival. A returned failure ends the session with an ERROR (STOMP 1.2,
// "ERROR": the server must close the connection after it).
func (s *session) command(f *frames.Frame, bt *batch) *Error {
	if phase(s.phase.Load()) == phaseNew {
		switch f.Command {
		case frames.CommandConnect, frames.CommandStomp:
			return s.connect(f, bt)
		}
		s.logFrameBeforeConnect()
		return failure(ReasonRefused, "authentication required")
	}
	var asks asks
	switch f.Command {
	case frames.CommandSend:
		asks = asked(f.Headers)
		if asks&asksTransaction != 0 {
			return s.inTransaction(f, asks, bt)
		}
	case frames.CommandAck, frames.CommandNack:
		if _, ok := f.Lookup(frames.HeaderTransaction); ok {
			return s.inTransaction(f, 0, bt)
		}
	}
	var later *completion
	var fail *Error
	switch f.Command {
	case frames.CommandSend:
		if asks&asksOnce != 0 {
			return s.sendOnce(f, asks, bt)
		}
		later, fail = s.send(f, asks, bt)
	case frames.CommandSubscribe:
		return s.subscribe(f, bt) // its receipt is sent before its first message
	case frames.CommandUnsubscribe:
		return s.unsubscribe(f, bt) // its receipt is sent after its last message
	case frames.CommandAck, frames.CommandNack:
		_, confirm := f.Lookup(frames.HeaderReceipt)
		later, fail = s.acknowledge(f, confirm, bt)
	case frames.CommandBegin, frames.CommandAbort:
		fail = s.transact(f)
	case frames.CommandCommit:
		return s.commit(f, bt) // its receipt may have to wait, but keeps its position
	case frames.CommandDisconnect:
		if f.Get("logout") == "true" {
			if fail := s.logOut(); fail != nil {
				return fail
			}
		}
		s.receiptLater(f, s.certain(f), bt)
		return &Error{Reason: ReasonDisconnect, Message: "DISCONNECT"}
	case frames.CommandConnect, frames.CommandStomp:
		return failure(ReasonProtocolError, "already connected")
	default:
		return failure(ReasonProtocolError, "%s is not a client command", f.Command)
	}
	if fail == nil {
		s.receiptLater(f, later, bt)
	}
	return fail
}

// parse reads the destination header of a SEND or SUBSCRIBE.
func (b *Broker) parse(f *frames.Frame) (destination, *Error) {
	name, ok := f.Lookup(frames.HeaderDestination)
	if !ok {
		return destination{}, failure(ReasonProtocolError, "%s without a destination header", f.Command)
	}
	var d topics.Destination
	var err error
	if f.Command == frames.CommandSubscribe {
		d, err = b.o.names.ParseSubscription(name)
	} else {
		d, err = b.o.names.Parse(name)
	}
	if err != nil {
		return destination{}, &Error{Reason: ReasonProtocolError, Message: err.Error()}
	}
	return b.destination(d), nil
}

// asks are the headers of a SEND that ask for more than a delivery. Almost no
// message has one, so a look at all headers finds out whether there are any.
type asks uint8

const (
	asksTransaction asks = 1 << iota
	asksOnce
	asksExpiry
	asksDelay
	asksRepeat
	asksReplies

	asksTime = asksExpiry | asksDelay | asksRepeat
)

// asked returns what the headers ask for.
func asked(list []frames.Header) (a asks) {
	for i := range list {
		switch list[i].Name {
		case frames.HeaderTransaction:
			a |= asksTransaction
		case headerDedup:
			a |= asksOnce
		case headerExpires, headerExpiration, headerTTL:
			a |= asksExpiry
		case headerDelay, headerAMQDelay:
			a |= asksDelay
		case headerAMQPeriod, headerAMQRepeat, headerAMQCron:
			a |= asksRepeat
		case headerReplyTo:
			if isTempQueue(list[i].Value) {
				a |= asksReplies
			}
		}
	}
	return a
}

// target caches the destination of a session's last SEND. Most SENDs have the
// same destination as the previous one: the cache lookup costs 20 ns, parsing
// and authorising costs 150.
type target struct {
	dest      destination
	principal *auth.Principal // the rules allowed this principal to send there
	policy    *policy         // contains those rules
}

// sendable parses the destination of a SEND and checks that the SEND is
// allowed.
func (s *session) sendable(f *frames.Frame, bt *batch) (destination, *Error) {
	if s.b.refusesBody(f.Body) {
		return destination{}, failure(ReasonProtocolError, "a body with a NUL byte is refused (limits.nul: refuse)")
	}
	now := s.b.policy.Load()
	if t := s.target; t != nil && t.dest.Name == f.Get(frames.HeaderDestination) && t.principal == s.principal.Load() && t.policy == now {
		return t.dest, nil
	}
	d, fail := s.mayBeSent(f, bt)
	if fail == nil && now.rules != nil { // the rules would decide the same again
		if s.target == nil {
			s.target = new(target)
		}
		*s.target = target{destination{d.Clone(), d.queue, d.archive, d.kept}, s.principal.Load(), now}
	}
	return d, fail
}

func (s *session) mayBeSent(f *frames.Frame, bt *batch) (destination, *Error) {
	d, fail := s.b.parse(f)
	if fail == nil && !d.literal() {
		fail = failure(ReasonProtocolError, "a message cannot be sent to a pattern")
	}
	if fail == nil {
		fail = s.forgery(d.Destination)
	}
	if fail == nil {
		fail = s.maySend(d.Destination, bt)
	}
	return d, fail
}

// send handles SEND. later is set if the message is stored, or handled, only
// after send returns.
func (s *session) send(f *frames.Frame, asks asks, bt *batch) (later *completion, fail *Error) {
	d, fail := s.sendable(f, bt)
	if fail != nil {
		return nil, fail
	}
	return s.sendTo(d, f, asks, bt)
}

// sendTo carries out a SEND that is permitted.
func (s *session) sendTo(d destination, f *frames.Frame, asks asks, bt *batch) (later *completion, fail *Error) {
	if asks&asksReplies != 0 {
		if fail := s.expectReplies(f, bt); fail != nil {
			return nil, fail
		}
	}
	if handled(d.Kind) {
		return s.handleSend(d.Destination, f, asks, bt)
	}
	p, fail := s.publication(d.Name, f, asks, bt)
	if fail != nil {
		return nil, fail
	}
	switch _, later, err := s.b.accept(d, p, s, bt); {
	case err == nil:
		return later, nil
	case errors.Is(err, errNobody):
		return unroutable(), nil
	default:
		return nil, refusedByQueue(err)
	}
}

// handled reports whether a SEND to a destination of a kind is for a handler.
func handled(k topics.Kind) bool { return k == topics.App || k == topics.UserPrivate }

func (s *session) handleSend(d topics.Destination, f *frames.Frame, asks asks, bt *batch) (later *completion, fail *Error) {
	var expires time.Time
	if asks&asksTime != 0 {
		t, fail := s.checkTimes(d, f)
		if fail != nil || s.b.tooLate(t.expires) {
			return nil, fail
		}
		if t.expires != 0 {
			expires = time.UnixMilli(t.expires)
		}
	}
	path := d.Path
	if d.Kind == topics.UserPrivate { // the handler's path follows /topic or /queue
		path = s.b.o.names.Handler(path)
	}
	return s.handle(path, d, f, expires, bt)
}

// publication turns a SEND to a destination into a publication, valid until the
// next call.
func (s *session) publication(destination string, f *frames.Frame, asks asks, bt *batch) (*publication, *Error) {
	p := &bt.pub
	p.reset()
	p.Prefix, p.Seq, p.Destination, p.Headers, p.Body = s.b.idPrefix, s.b.nextID(), destination, f.Headers, f.Body
	if asks&asksTime != 0 {
		if err := p.honour(); err != nil {
			return nil, &Error{Reason: ReasonProtocolError, Message: err.Error()}
		}
	}
	return p, nil
}

// subscribe handles SUBSCRIBE. Messages may arrive as soon as the subscription
// is in the index. They wait behind its gate until the RECEIPT is in the
// outbox, so the receipt comes first and no message published after it is
// missed.
func (s *session) subscribe(f *frames.Frame, bt *batch) *Error {
	sub, fail := s.newSubscriber(f)
	if fail != nil {
		return fail
	}
	d := sub.dest
	at, fail := s.beginning(f, d)
	if fail != nil {
		return fail
	}
	name, entry, fail := s.durability(f, sub)
	switch {
	case fail != nil:
		return fail
	case sub.durable && at != nil:
		return failure(ReasonProtocolError, "a durable subscription goes on where it ended: it has no offset")
	}
	if fail := s.mayObserve(sub, bt); fail != nil {
		return fail
	}
	if !sub.durable {
		if fail := s.selective(sub, f, bt); fail != nil {
			return fail
		}
	}
	if d.Kind == topics.App {
		return s.handleSubscribe(sub, f, bt)
	}
	sub.gated = true
	var later *completion // until the store has the subscription, or other brokers know it
	switch {
	case sub.durable:
		later, fail = s.attach(sub, name, entry, f, bt)
	case sub.queue:
		fail = s.consume(sub, f)
	default:
		var generation uint64
		if generation, fail = s.follow(sub, at); fail != nil {
			s.unselect(sub)
		} else if _, asked := f.Lookup(frames.HeaderReceipt); asked {
			if later = s.knownElsewhere(sub, generation); later == nil {
				later = s.userKnownElsewhere(sub)
			}
		}
	}
	if fail != nil {
		return fail
	}
	s.attend(sub)
	s.keep(sub)
	if later != nil {
		s.answerLater(sub, f, later)
	} else if s.out.open(sub, s.receiptFrame(f, sub.answer(at).header()), bt) {
		sub.start(bt)
	}
	if d.Kind != topics.Topic && d.Path == sessionNotices { // repeat the notices that the client missed
		s.warned.Store(0)
		s.b.sweeper.Schedule(s, s.b.now())
	}
	s.tell(bt, func(o *Observer) {
		if o.Subscribed != nil {
			o.Subscribed(s.info(), d.Name, sub.ID)
		}
	})
	return nil
}

func (s *session) newSubscriber(f *frames.Frame) (*subscriber, *Error) {
	d, fail := s.b.parse(f)
	if fail != nil {
		return nil, fail
	}
	id, ok := f.Lookup(frames.HeaderID)
	if !ok && s.version != frames.V10 {
		return nil, failure(ReasonProtocolError, "SUBSCRIBE without an id header")
	}
	if twice := s.find(id); twice != nil && ok && !twice.implies(d.Destination) {
		return nil, failure(ReasonProtocolError, "subscription id %s is already in use", strconv.QuoteToASCII(id))
	}
	if fail := unavailable(f); fail != nil {
		return nil, fail
	}
	role := s.b.presence.role(d.Destination)
	if fail := s.roomFor(id, d.Destination, f.Get(headerSelector), role); fail != nil {
		return nil, fail
	}
	// A header's string keeps the whole header block alive.
	sub := &subscriber{s: s, Recipient: encode.Recipient{ID: strings.Clone(id)}, dest: d.Clone(), queue: d.queue, present: role}
	switch mode, _ := f.Lookup(frames.HeaderAck); {
	case mode == "" || mode == "auto":
	case mode == "client":
		sub.mode = ackClient
	case mode == "client-individual": // since 1.1, but RabbitMQ and ActiveMQ accept it and NACK from 1.0 clients
		sub.mode = ackIndividual
	default:
		return nil, failure(ReasonProtocolError, "ack must be auto, client or client-individual")
	}
	switch d.Kind {
	case topics.UserPrivate, topics.UserNamed:
		if d.Pattern {
			return nil, failure(ReasonDenied, "a user destination cannot be a pattern")
		}
		if d.Kind == topics.UserNamed {
			sub.As = d.Name
		}
	case topics.Reply:
		if fail := s.mayTakeReplies(sub); fail != nil {
			return nil, fail
		}
	case topics.Queue:
		if d.Pattern && d.queue {
			return nil, failure(ReasonDenied, "a queue subscription names one queue, not a pattern")
		}
	case topics.App:
		if d.Pattern {
			return nil, failure(ReasonDenied, "an application destination cannot be a pattern")
		}
	}
	s.ordinal++
	sub.ordinal = s.ordinal
	return sub, nil
}

// unavailableHeaders are headers of a SUBSCRIBE, of clients of other brokers,
// that ask for what no destination gives. A client that relies on one would lose
// messages or see those of others if it were ignored.
var unavailableHeaders = map[string]string{
	"browser":                  "the messages would be consumed",
	"no-local":                 "a client gets the messages that it sends itself",
	"activemq.noLocal":         "a client gets the messages that it sends itself",
	"activemq.exclusive":       "the consumers of a queue share its messages",
	"x-single-active-consumer": "the consumers of a queue share its messages",
}

// unavailable refuses a SUBSCRIBE with such a header.
func unavailable(f *frames.Frame) *Error {
	for i := range f.Headers {
		h := &f.Headers[i]
		if why := unavailableHeaders[h.Name]; why != "" && h.Value == "true" {
			return failure(ReasonProtocolError, "%s is not supported: %s", h.Name, why)
		}
	}
	return nil
}

// unsubscribe handles UNSUBSCRIBE. An unknown id is ignored: real clients send
// such ids (C-3).
func (s *session) unsubscribe(f *frames.Frame, bt *batch) *Error {
	id, ok := f.Lookup(frames.HeaderID)
	sub := s.find(id)
	if !ok {
		if s.version != frames.V10 {
			return failure(ReasonProtocolError, "UNSUBSCRIBE without an id header")
		}
		sub = s.findDestination(f.Get(frames.HeaderDestination))
	}
	sub, later, fail := s.forgetDurable(f, sub)
	if fail != nil {
		return fail
	}
	if sub != nil {
		later = allOf(nonNil(later, s.certain(f, sub.consumer)))
		s.detach(sub, bt)
	}
	s.receiptLater(f, later, bt)
	if sub != nil {
		s.tellUnsubscribed(bt, EndedByClient, sub)
	}
	return nil
}

// findDestination finds a subscription without an id by its destination. 1.0
// clients may subscribe without an id.
func (s *session) findDestination(name string) *subscriber {
	for _, sub := range s.subs {
		if sub.dest.Name == name && sub.ID == "" {
			return sub
		}
	}
	return nil
}
