package broker

import "github.com/hoofbeat/hoofbeat/topics"

// deliver delivers a publication to the subscribers that are connected to this
// broker: the subscribers of a topic, or of a queue whose messages are not
// kept, or the sessions of a user.
func (b *Broker) deliver(d topics.Destination, p *publication, bt *batch) Delivery {
	if d.Kind == topics.UserNamed {
		p.Destination = b.userPrefix() + d.Path
		return b.fanOutToUser(d.User, d.Path, p, bt)
	}
	b.fanOut(d, p, bt)
	return Delivery{}
}

// fanOut delivers to every subscription that matches a shared destination.
func (b *Broker) fanOut(d topics.Destination, p *publication, bt *batch) {
	n := int64(0)
	subs := b.router.Match(d)
	p.Single = len(subs) == 1
	for _, sub := range subs {
		if sub.offer(p, bt) {
			n++
		}
	}
	bt.load.add(len(p.Body), int(n))
	b.stats.delivered.Add(n)
}

// fanOutToUser delivers to the sessions of a user.
func (b *Broker) fanOutToUser(user, path string, p *publication, bt *batch) (out Delivery) {
	sessions := b.router.Sessions(user)
	for _, session := range sessions {
		b.fanOutToSession(session, path, p, bt, &out, len(sessions) == 1)
	}
	return out
}

// deliverToSession delivers to one session only.
func (b *Broker) deliverToSession(session, path string, p *publication, bt *batch) (out Delivery) {
	b.fanOutToSession(session, path, p, bt, &out, true)
	return out
}

// fanOutToSession delivers to the subscriptions of one session. only means that
// no other session receives p.
func (b *Broker) fanOutToSession(session, path string, p *publication, bt *batch, out *Delivery, only bool) {
	subs := b.router.MatchSession(session, path)
	p.Single = only && len(subs) == 1
	for _, sub := range subs {
		if sub.offer(p, bt) {
			out.Subscriptions++
			b.stats.delivered.Add(1)
			if sub.mode != ackAuto {
				out.Unacknowledged++
			}
		}
	}
}

// offer delivers p to the subscription and reports whether it was accepted.
func (sub *subscriber) offer(p *publication, bt *batch) bool {
	if f := sub.filter.Load(); f != nil {
		return f.offer(p, bt)
	}
	if sub.s == nil {
		return sub.offerInside(p, bt)
	}
	return sub.enqueue(p, bt)
}

// offerInside delivers p to an in-process subscription, or puts it into the list
// of a durable one, which is no delivery yet.
func (sub *subscriber) offerInside(p *publication, bt *batch) bool {
	if f, ok := sub.consumer.(feed); ok {
		f.keep(p, bt)
		return false
	}
	return sub.local.offer(localMessage{m: p.stamped(), expires: p.expires}, p.hurry)
}

// enqueue delivers an authorised publication to a session if the subscription's
// selector matches.
func (sub *subscriber) enqueue(p *publication, bt *batch) bool {
	if sub.selector != nil && !sub.selector.selects(p, sub.s.b) {
		return false
	}
	if sub.mode != ackAuto || p.Single || claim(sub.claim.Load()) != saysNothing {
		return sub.enqueueOwn(p, nil, bt)
	}
	s := sub.s
	f := s.wire.Framing()
	return s.out.pushShared(p, sub, p.fit(f, sub).Frame(f, s.version, &sub.Recipient), bt)
}

// enqueueOwn delivers a MESSAGE whose frame is not shared, because this is
// the only subscription or the frame has an `ack` header. The delivery is
// tracked only if a queue, or a publisher that set Settled, waits for the
// answer.
func (sub *subscriber) enqueueOwn(p *publication, work delivery, bt *batch) bool {
	s := sub.s
	o := &s.out
	track := work != nil || p.msg != nil && p.msg.Settled != nil
	o.mu.Lock()
	if work != nil && (!o.takesWork() || sub.mode != ackAuto && !s.mayHold(o)) {
		o.mu.Unlock()
		return false
	}
	if sub.dead || work == nil && !o.fits(len(p.Body)+256, p.hurry, bt) || sub.dead {
		o.mu.Unlock()
		return false
	}
	if track && work == nil && sub.mode != ackAuto && int(s.unacked.Load()) >= s.b.policy.Load().limits.Unacknowledged {
		if p.Offset.Number == 0 {
			o.mu.Unlock() // the Delivery tells the publisher that the message was not accepted
			return false
		}
		track = false // a subscription to a topic with a history misses nothing
	}
	var n uint64
	if sub.mode != ackAuto {
		sub.acks++
		n = sub.acks
		if track {
			sub.pending = append(sub.pending, unacknowledged{n, p.message().ID, work, p.msg})
			s.unacked.Add(1)
		}
	}
	wake := o.pushOwn(p, sub, n)
	o.mu.Unlock()
	if wake {
		bt.add(o)
	}
	return true
}

// mayHold reports whether the session may have one more unacknowledged message.
// If not, its consumers continue when it acknowledges some.
func (s *session) mayHold(o *outbox) bool {
	if int(s.unacked.Load()) < s.b.policy.Load().limits.Unacknowledged {
		return true
	}
	o.starved = true
	return false
}
