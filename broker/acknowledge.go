package broker

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/hoofbeat/hoofbeat/frames"
)

// acknowledge handles ACK and NACK. What was settled before, or was given to a
// subscription that has ended, is ignored: a late ACK is a normal race. What never
// was a delivery of this session is not, see docs/decisions/unknown-acks.md.
//
// With confirm the caller waits until a queue is certain of it.
func (s *session) acknowledge(f *frames.Frame, confirm bool, bt *batch) (*completion, *Error) {
	var settled []unacknowledged
	switch s.version {
	case frames.V12:
		id, ok := f.Lookup(frames.HeaderID)
		if !ok {
			return nil, failure(ReasonProtocolError, "%s without an id header", f.Command)
		}
		ordinal, n, ours := parseAckID(id)
		given := false
		if ours {
			if settled, given = s.settleAckID(ordinal, n, bt); settled != nil {
				break
			}
		}
		// STOMP 1.2 wants the `ack` header of the MESSAGE here, and ActiveMQ and
		// RabbitMQ take nothing else. But Spring's StompSession.acknowledge sends
		// what it is given, its parameter is called messageId, and so programs give
		// it the message-id: ignored, as what is unknown is, their message would
		// come again and end as a dead letter. Nobody means anything else by it.
		settled = s.settleMessageID(id, f, bt)
		if settled == nil && !given && !strings.HasPrefix(id, s.b.idPrefix) {
			s.unknownAck(f, id)
			if ours && ordinal < likeMessageID {
				return nil, failure(ReasonProtocolError, "%s of %s, which this session was never given", f.Command, strconv.QuoteToASCII(id))
			}
		}
	default:
		id, ok := f.Lookup(frames.HeaderMessageID)
		if !ok {
			return nil, failure(ReasonProtocolError, "%s without a message-id header", f.Command)
		}
		if _, named := f.Lookup(frames.HeaderSubscription); !named && s.version == frames.V11 {
			return nil, failure(ReasonProtocolError, "%s without a subscription header", f.Command)
		}
		settled = s.settleMessageID(id, f, bt)
		if settled == nil && !strings.HasPrefix(id, s.b.idPrefix) {
			s.unknownAck(f, id)
		}
	}
	return s.finishSettled(settled, settlement{ack: f.Command == frames.CommandAck, confirm: confirm}, bt), nil
}

// ackFault says what acknowledge will refuse an ACK or NACK for, without doing
// anything: a COMMIT is carried out as a whole or not at all.
func (s *session) ackFault(f *frames.Frame) *Error {
	if s.version != frames.V12 {
		if _, ok := f.Lookup(frames.HeaderMessageID); !ok {
			return failure(ReasonProtocolError, "%s without a message-id header", f.Command)
		}
		if _, named := f.Lookup(frames.HeaderSubscription); !named && s.version == frames.V11 {
			return failure(ReasonProtocolError, "%s without a subscription header", f.Command)
		}
		return nil
	}
	id, ok := f.Lookup(frames.HeaderID)
	if !ok {
		return failure(ReasonProtocolError, "%s without an id header", f.Command)
	}
	ordinal, n, ours := parseAckID(id)
	if !ours || ordinal >= likeMessageID || strings.HasPrefix(id, s.b.idPrefix) || s.wasGiven(ordinal, n, id) {
		return nil
	}
	s.unknownAck(f, id)
	return failure(ReasonProtocolError, "%s of %s, which this session was never given", f.Command, strconv.QuoteToASCII(id))
}

// wasGiven reports whether an id names a delivery of this session, by the value
// of its `ack` header or as a message-id.
func (s *session) wasGiven(ordinal uint32, n uint64, id string) bool {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	ended := ordinal <= s.ordinal
	for _, sub := range s.subs {
		if sub.ordinal == ordinal {
			ended = false
			if n <= sub.acks {
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
// message-id had in earlier versions, which could be digits alone: a client may
// still have such an id when the broker has been replaced.
const likeMessageID = 10_000_000

// unknownAck counts and logs an ACK or NACK that names nothing: its queue stalls,
// and its client does not know.
func (s *session) unknownAck(f *frames.Frame, id string) {
	s.b.stats.unknownAcks.Add(1)
	s.b.warn("ACK or NACK with an unknown id", s.source(""), "session", s.id, "user", s.userName(), "remote", s.peer, "command", f.Command, "id", brief(id))
}

// parseAckID reads the value of an `ack` header, as [appendAckID] writes it. It
// never begins with 0, which the message-id 00000001-7 does.
func parseAckID(id string) (ordinal uint32, n uint64, ok bool) {
	which, number, _ := strings.Cut(id, "-")
	o, err1 := strconv.ParseUint(which, 10, 32)
	n, err2 := strconv.ParseUint(number, 10, 64)
	if err1 != nil || err2 != nil || id[0] == '0' || number[0] == '0' {
		return 0, 0, false
	}
	return uint32(o), n, true
}

// settleAckID takes the delivery with that number of the subscription with that
// ordinal. given is false if the session never had such a delivery.
func (s *session) settleAckID(ordinal uint32, n uint64, bt *batch) (settled []unacknowledged, given bool) {
	at := slices.IndexFunc(s.subs, func(sub *subscription) bool { return sub.ordinal == ordinal })
	if at < 0 {
		return nil, ordinal <= s.ordinal // that subscription has ended
	}
	sub := s.subs[at]
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	i, found := slices.BinarySearchFunc(sub.pending, n, func(u unacknowledged, n uint64) int { return cmp.Compare(u.n, n) })
	if found {
		settled = sub.settle(i, bt)
	}
	return settled, n <= sub.acks
}

// settleMessageID takes a message-id, of the subscription that f names if it names
// one. Where several hold that message the oldest answers.
func (s *session) settleMessageID(id string, f *frames.Frame, bt *batch) []unacknowledged {
	which, named := f.Lookup(frames.HeaderSubscription)
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	for _, sub := range s.subs {
		if named && sub.id != which {
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

// settle takes what an ACK or NACK of sub.pending[i] covers out of the
// unacknowledged: that message, and in `client` mode all before it. The result
// lies in the batch until finishSettled. The caller holds the lock of the outbox.
func (sub *subscription) settle(i int, bt *batch) []unacknowledged {
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

// finishSettled tells queues and publishers. What a cumulative answer covers in
// a queue is settled there in one go.
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
