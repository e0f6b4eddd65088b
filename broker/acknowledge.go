package broker

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/frames"
)

// acknowledge handles ACK and NACK. It ignores an id that was already settled
// or belongs to a subscription that has ended: a late ACK is a normal race. It
// does not ignore an id that never was a delivery of this session, see
// docs/decisions/unknown-acks.md.
//
// With confirm, the caller waits until the queue has confirmed the answer.
func (s *session) acknowledge(f *frames.Frame, confirm bool, bt *batch) (*completion, *Error) {
	id, fail := s.ackID(f)
	if fail != nil {
		return nil, fail
	}
	var settled []unacknowledged
	switch s.version {
	case frames.V12:
		ack, ours := encode.ParseAck(id)
		given := false
		if ours {
			if settled, given = s.settleAckID(ack, bt); settled != nil {
				break
			}
		}
		// STOMP 1.2 requires the `ack` header of the MESSAGE here, and ActiveMQ
		// and RabbitMQ accept nothing else. But Spring's
		// StompSession.acknowledge sends its parameter unchanged, the parameter
		// is called messageId, and so programs pass the message-id. If it were
		// ignored, like an unknown id, the message would be redelivered and
		// become a dead letter. A message-id here has no other meaning.
		settled = s.settleMessageID(id, f, bt)
		if settled == nil && !given && !s.b.likeID(id) {
			s.unknownAck(f, id)
			if ours && ack.Subscription < likeMessageID {
				return nil, failure(ReasonProtocolError, "%s of %s, which this session was never given", f.Command, strconv.QuoteToASCII(id))
			}
		}
	default:
		settled = s.settleMessageID(id, f, bt)
		if settled == nil && !s.b.likeID(id) {
			s.unknownAck(f, id)
		}
	}
	return s.finishSettled(settled, settlement{ack: f.Command == frames.CommandAck, confirm: confirm}, bt), nil
}

// ackID returns the id in an ACK or NACK: since STOMP 1.2 the value of an `ack`
// header, before that a message-id.
func (s *session) ackID(f *frames.Frame) (string, *Error) {
	name, article := frames.HeaderMessageID, "a"
	if s.version == frames.V12 {
		name, article = frames.HeaderID, "an"
	}
	id, ok := f.Lookup(name)
	if !ok {
		return "", failure(ReasonProtocolError, "%s without %s %s header", f.Command, article, name)
	}
	if _, named := f.Lookup(frames.HeaderSubscription); !named && s.version == frames.V11 {
		return "", failure(ReasonProtocolError, "%s without a subscription header", f.Command)
	}
	return id, nil
}

// ackFault returns the error with which acknowledge would refuse an ACK or
// NACK, and changes nothing: a COMMIT is carried out completely or not at all.
func (s *session) ackFault(f *frames.Frame) *Error {
	id, fail := s.ackID(f)
	if fail != nil || s.version != frames.V12 {
		return fail
	}
	ack, ours := encode.ParseAck(id)
	if !ours || ack.Subscription >= likeMessageID || s.b.likeID(id) || s.wasGiven(ack, id) {
		return nil
	}
	s.unknownAck(f, id)
	return failure(ReasonProtocolError, "%s of %s, which this session was never given", f.Command, strconv.QuoteToASCII(id))
}

// wasGiven reports whether an id identifies a delivery of this session, as the
// value of its `ack` header or as its message-id.
func (s *session) wasGiven(ack encode.Ack, id string) bool {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	ended := ack.Subscription <= s.ordinal
	for _, sub := range s.subs {
		if sub.ordinal == ack.Subscription {
			ended = false
			if ack.Number <= sub.acks {
				return true
			}
		}
		if slices.ContainsFunc(sub.pending, func(u unacknowledged) bool { return u.id == id }) {
			return true
		}
	}
	return ended
}

// likeMessageID is the smallest ordinal with as many digits as the prefix of a
// message-id had in earlier versions. That prefix could consist of digits only,
// and a client may still hold such an id after the broker was upgraded.
const likeMessageID = 10_000_000

// unknownAck counts and logs an ACK or NACK that matches no delivery: its queue
// stalls, and its client does not notice.
func (s *session) unknownAck(f *frames.Frame, id string) {
	s.b.stats.unknownAcks.Add(1)
	s.b.warn("ACK or NACK with an unknown id", s.source(""), "session", s.id, "user", s.userName(), "remote", s.peer, "command", f.Command, "id", brief(id))
}

// settleAckID settles the delivery with an `ack` id. given is false if the
// session never had such a delivery.
func (s *session) settleAckID(ack encode.Ack, bt *batch) (settled []unacknowledged, given bool) {
	at := slices.IndexFunc(s.subs, func(sub *subscriber) bool { return sub.ordinal == ack.Subscription })
	if at < 0 {
		return nil, ack.Subscription <= s.ordinal // that subscription has ended
	}
	sub := s.subs[at]
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	i, found := slices.BinarySearchFunc(sub.pending, ack.Number, func(u unacknowledged, n uint64) int { return cmp.Compare(u.n, n) })
	if found {
		settled = sub.settle(i, bt)
	}
	return settled, ack.Number <= sub.acks
}

// settleMessageID settles the delivery with a message-id. If f names a
// subscription, only that subscription is searched. If several subscriptions
// hold the message, the oldest one is settled.
func (s *session) settleMessageID(id string, f *frames.Frame, bt *batch) []unacknowledged {
	which, named := f.Lookup(frames.HeaderSubscription)
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	for _, sub := range s.subs {
		if named && sub.ID != which {
			continue
		}
		for i := range sub.pending {
			if sub.pending[i].id == id {
				return sub.settle(i, bt)
			}
		}
	}
	return nil
}

// settle removes the messages that an ACK or NACK of sub.pending[i] covers from
// sub.pending: that message, and in `client` mode all messages before it. The
// result stays in the batch until finishSettled. The caller holds the lock of
// the outbox.
func (sub *subscriber) settle(i int, bt *batch) []unacknowledged {
	from := i
	if sub.mode == ackClient {
		from = 0
	}
	bt.settled = append(bt.settled[:0], sub.pending[from:i+1]...)
	sub.pending = slices.Delete(sub.pending, from, i+1)
	if len(sub.pending) == 0 {
		sub.pending = nil
	}
	return bt.settled
}

// finishSettled passes the answers to queues and publishers. The messages of
// one queue that a cumulative answer covers are settled there in one call.
func (s *session) finishSettled(settled []unacknowledged, how settlement, bt *batch) (later *completion) {
	if len(settled) == 0 {
		return nil
	}
	s.unacked.Add(-int32(len(settled)))
	last := settled[len(settled)-1].work
	switch {
	case last == nil:
		outcome := Acknowledged
		if !how.ack {
			outcome = Refused
		}
		for _, u := range settled {
			s.settled(u.msg, outcome, bt)
		}
	default:
		how.through = len(settled) > 1
		later = last.Settle(bt, how)
	}
	clear(settled)
	s.resumeStarved(bt)
	return later
}

// certain returns the completion of the acknowledgements that the client sent
// before f, for consumers of stored queues: of a session that ends, for all. It
// is nil if f asks for no receipt, or if nothing is uncertain.
func (s *session) certain(f *frames.Frame, list ...consumer) *completion {
	if s.b.o.QueueStore == nil && s.b.o.DurableStore == nil {
		return nil
	}
	if _, asked := f.Lookup(frames.HeaderReceipt); !asked {
		return nil
	}
	if list == nil {
		s.out.mu.Lock()
		list = s.consumers
		s.out.mu.Unlock()
	}
	var open []*completion
	for _, k := range list {
		if k, ok := k.(interface{ certain() *completion }); ok {
			if later := k.certain(); later != nil {
				open = append(open, later)
			}
		}
	}
	return allOf(open)
}
