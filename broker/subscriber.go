package broker

import (
	"slices"
	"sync/atomic"

	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/broker/internal/hook"
	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
	"github.com/hoofbeat/hoofbeat/topics"
)

type ackMode uint8

const (
	ackAuto       ackMode = iota
	ackClient             // cumulative per subscription
	ackIndividual         // each message separately
)

// A subscriber is one SUBSCRIBE of a session, or one in-process Subscribe
// (then local is set and s is nil).
type subscriber struct {
	s     *session
	local *Subscription
	encode.Recipient
	dest    topics.Destination
	mode    ackMode
	queue   bool          // dest is a work queue
	gated   bool          // its SUBSCRIBE is being answered; guarded as below
	dead    bool          // unsubscribed: no more frames may follow; guarded as below
	resumes bool          // its SUBSCRIBE asked for a history
	present presenceRole  // what it is for presence
	implied bool          // made by the reply-to of a SEND; no SUBSCRIBE named it
	durable bool          // it uses a durable subscription
	ordinal uint32        // identifies it in `ack` headers
	claim   atomic.Uint32 // the [claim] that the next MESSAGE makes; it is this subscription's own

	consumer consumer               // of a work queue or, as an attachment, of a durable subscription; feed of the feeder of one
	filter   atomic.Pointer[filter] // of a pattern with matches that the client may not see; a rule change may set one
	selector *selector              // of a SUBSCRIBE with a `selector` header
	replay   atomic.Pointer[replay] // of a topic with history, until the subscription is live

	// Guarded by the lock of the session's outbox.
	held    *[][]byte // frames that arrived while gated
	acks    uint64    // number of the latest delivery
	pending []unacknowledged
}

// unacknowledged is one delivery that the client must acknowledge.
type unacknowledged struct {
	n    uint64
	id   string // message-id
	work delivery
	msg  *Message // set if the message has Settled
}

// offerWork delivers a message of a queue, or returns false if there is no room
// for it now. The queue may hold a lock, so offerWork must not call the queue.
func (sub *subscriber) offerWork(d delivery, bt *batch) bool {
	m := d.Message()
	if sub.local != nil {
		return sub.local.offerWork(m, d)
	}
	var p publication
	p.set(m, m.Destination)
	p.msg = m
	p.Redelivered, p.Single = d.Redelivered(), true
	if sub.durable {
		says := saysNothing
		if n := d.Lost(); n > 0 {
			says = dropped(n)
		}
		sub.claim.Store(uint32(says))
	}
	if !sub.enqueueOwn(&p, d, bt) {
		return false
	}
	sub.s.b.stats.delivered.Add(1)
	return true
}

// start begins the deliveries of a queue or of a history. The gate is open.
func (sub *subscriber) start(bt *batch) {
	if sub.consumer != nil {
		sub.consumer.Start(bt)
	} else if r := sub.replay.Load(); r != nil {
		r.Start(bt)
	}
}

// find returns the subscription with that id, or nil.
func (s *session) find(id string) *subscriber {
	for _, sub := range s.subs {
		if sub.ID == id {
			return sub
		}
	}
	return nil
}

// route adds sub to the router. It counts slow patterns, which are compared one
// by one with each message to a destination that is not cached (see
// [topics.Destination.Slow]): a client could slow down every SEND with them. The
// generation is that of the interest, see [topics.Index.Watch].
func (s *session) route(sub *subscriber) (generation uint64, fail *Error) {
	d := sub.dest
	if d.Kind == topics.Reply {
		s.routeReplies(sub)
		return 0, nil
	}
	if d.Slow() {
		if e := s.takeSlow(d.Path); e != nil {
			return 0, s.b.refuse(e, s.peer, s.userName())
		}
	}
	return s.b.router.Subscribe(s.id, d, sub), nil
}

func (s *session) takeSlow(pattern string) *limit.Exceeded {
	l := s.b.policy.Load().limits
	return s.b.slow.take(s.ownerKey(), pattern,
		limit.Exceeded{Limit: limit.SlowPatternsPerUser, Value: l.SlowPatternsPerUser},
		limit.Exceeded{Limit: limit.SlowPatterns, Value: l.SlowPatterns})
}

// unroute undoes route.
func (s *session) unroute(sub *subscriber) {
	if sub.dest.Kind == topics.Reply {
		s.b.replies.remove(sub)
		return
	}
	s.b.router.Unsubscribe(s.id, sub.dest, sub)
	if sub.dest.Slow() {
		s.b.slow.give(s.ownerKey(), sub.dest.Path)
	}
}

// keep adds sub to the subscriptions of the session and counts it.
func (s *session) keep(sub *subscriber) {
	s.subs = append(s.subs, sub)
	s.footprint += sub.footprint()
	s.subscribed.Add(1)
	s.b.stats.subscriptions.Add(1)
}

// drop removes sub from the index or from its queue. Its unacknowledged
// messages return to the queue.
func (s *session) drop(sub *subscriber, bt *batch) {
	pending := s.out.discard(sub)
	s.unacked.Add(-int32(len(pending)))
	if sub.consumer != nil {
		s.removeConsumer(sub.consumer)
		sub.consumer.Close(bt)
	} else {
		s.unroute(sub)
	}
	s.depart(sub)
	if r := sub.replay.Load(); r != nil {
		r.Close(bt)
	}
	if f := sub.filter.Load(); f != nil {
		f.close()
	}
	s.unselect(sub)
	for _, u := range pending {
		if u.work == nil {
			s.settled(u.msg, Lost, bt)
		}
	}
	s.footprint -= sub.footprint()
	s.subscribed.Add(-1)
	s.b.stats.subscriptions.Add(-1)
	if len(pending) > 0 {
		s.resumeStarved(bt) // now there is room for other messages
	}
}

// detach takes sub out of the session's list and drops it.
func (s *session) detach(sub *subscriber, bt *batch) {
	i := slices.Index(s.subs, sub)
	s.subs = slices.Delete(s.subs, i, i+1)
	s.drop(sub, bt)
}

// withdraw ends a subscription that the client did not end, and tells it so.
func (s *session) withdraw(sub *subscriber, why SubscriptionEnd, bt *batch) {
	s.detach(sub, bt)
	s.notify(sessionNotices, sessionEvent{Event: "subscription-ended", Subscription: sub.ID, Destination: sub.dest.Name}, bt)
	s.tellUnsubscribed(bt, why, sub)
}

// settled notifies the publisher of m, if m.Settled is set. This is user code,
// so the outboxes in the batch are written first.
func (s *session) settled(m *Message, o Outcome, bt *batch) {
	if m == nil || m.Settled == nil {
		return
	}
	bt.flush()
	_ = hook.Call(s.b.hookPanicked, "Settled", func() error { m.Settled(s.id, o); return nil }) // logged
}
