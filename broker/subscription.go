package broker

import (
	"slices"
	"unicode/utf8"

	"github.com/hoofbeat/hoofbeat/broker/internal/workqueue"
	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

type ackMode uint8

const (
	ackAuto       ackMode = iota
	ackClient             // cumulative per subscription
	ackIndividual         // each message for itself
)

// Instances of the bookkeeping of /queue destinations: messages are kept as
// they were published, and what a hand-over touches goes into the batch.
type (
	queueStore    = workqueue.Store[*Message, *batch]
	queueConsumer = workqueue.Consumer[*Message, *batch]
	queueDelivery = workqueue.Delivery[*Message, *batch]
)

// A subscription is one SUBSCRIBE of a session, or one in-process Subscribe
// (then local is set and s is nil).
type subscription struct {
	s       *session
	local   *Subscription
	id      string // as the client named it; "" for a 1.0 client that did not
	dest    topics.Destination
	as      string // destination its MESSAGE frames carry, if not the publication's
	mode    ackMode
	ordinal uint32 // names it in `ack` headers

	consumer *queueConsumer // of a work queue
	filter   *filter        // of a pattern that not every match of may be seen
	selector *selector      // of a SUBSCRIBE with a `selector` header

	// Guarded by the lock of the session's outbox.
	gated   bool     // its SUBSCRIBE is being answered
	dead    bool     // UNSUBSCRIBEd: nothing may follow
	held    [][]byte // what arrived while gated
	acks    uint64   // deliveries numbered so far
	pending []unacknowledged
}

// unacknowledged is one delivery that the client has to acknowledge.
type unacknowledged struct {
	n    uint64
	id   string // message-id
	work *queueDelivery
	msg  *Message // with Settled, when the publisher wants to know
}

// deliver hands p to the subscription and reports whether it took it.
func (sub *subscription) deliver(p *publication, bt *batch) bool {
	switch {
	case sub.filter != nil:
		return sub.filter.deliver(p, bt)
	case sub.local != nil:
		return sub.local.offer(p.message())
	}
	return sub.pass(p, bt)
}

// pass delivers what may be seen to a session, if its selector wants it.
func (sub *subscription) pass(p *publication, bt *batch) bool {
	if sub.selector != nil && !sub.selector.selects(p, sub.s.b) {
		return false
	}
	if sub.mode != ackAuto || p.single {
		return sub.deliverAlone(p, nil, bt)
	}
	s := sub.s
	return s.out.deliver(sub, p.frame(s.wire.framing(), s.version, sub), bt)
}

// deliverAlone hands out a MESSAGE that is for this subscription only, since it
// is the only one or has an `ack` header. It is remembered only when somebody
// waits for the answer: a queue, or a publisher who asked.
func (sub *subscription) deliverAlone(p *publication, work *queueDelivery, bt *batch) bool {
	s := sub.s
	o := &s.out
	track := work != nil || p.msg != nil && p.msg.Settled != nil
	o.mu.Lock()
	if work != nil && (!o.hasRoom() || sub.mode != ackAuto && !s.mayHold(o)) {
		o.mu.Unlock()
		return false
	}
	if sub.dead || work == nil && !o.room(len(p.body)+256, bt) || sub.dead {
		o.mu.Unlock()
		return false
	}
	if track && work == nil && sub.mode != ackAuto && int(s.unacked.Load()) >= s.b.policy.Load().limits.Unacknowledged {
		o.mu.Unlock() // its publisher learns from the Delivery that it was not taken
		return false
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
	wake := o.encode(p, sub, n)
	o.mu.Unlock()
	if wake {
		bt.add(o)
	}
	return true
}

// mayHold reports whether the session may be given one more message to
// acknowledge; if not, its consumers go on when it acknowledges some.
func (s *session) mayHold(o *outbox) bool {
	if int(s.unacked.Load()) < s.b.policy.Load().limits.Unacknowledged {
		return true
	}
	o.starved = true
	return false
}

// Offer implements workqueue.Receiver. The queue's lock is held.
func (sub *subscription) Offer(bt *batch, d *queueDelivery) bool {
	m := d.Message()
	if sub.local != nil {
		return sub.local.offerWork(m, d)
	}
	var p publication
	p.set(m, m.Destination)
	p.msg = m
	p.redelivered, p.single = d.Redelivered(), true
	if !sub.deliverAlone(&p, d, bt) {
		return false
	}
	sub.s.b.stats.delivered.Add(1)
	return true
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

func (s *session) addConsumer(k *queueConsumer) {
	s.out.mu.Lock()
	s.consumers = append(slices.Clone(s.consumers), k)
	s.out.mu.Unlock()
}

func (s *session) removeConsumer(k *queueConsumer) {
	s.out.mu.Lock()
	s.consumers = slices.DeleteFunc(slices.Clone(s.consumers), func(c *queueConsumer) bool { return c == k })
	s.out.mu.Unlock()
}

// find returns the subscription with that id.
func (s *session) find(id string) (int, *subscription) {
	for i, sub := range s.subs {
		if sub.id == id {
			return i, sub
		}
	}
	return -1, nil
}

// drop takes sub out of the index or its queue. What it was given and did not
// acknowledge goes back.
func (s *session) drop(sub *subscription, bt *batch) {
	pending := s.out.discard(sub)
	s.unacked.Add(-int32(len(pending)))
	if sub.consumer != nil {
		s.removeConsumer(sub.consumer)
		sub.consumer.Close(bt)
	} else {
		s.b.router.Unsubscribe(s.id, sub.dest, sub)
	}
	if sub.filter != nil {
		sub.filter.close()
	}
	if sub.selector != nil {
		s.b.selectors.release(sub.selector)
	}
	for _, u := range pending {
		if u.work == nil {
			s.settled(u.msg, Lost, bt)
		}
	}
	s.footprint -= sub.footprint()
	s.subscribed.Add(-1)
	s.b.stats.subscriptions.Add(-1)
	if len(pending) > 0 {
		s.resumeStarved(bt) // it may hold others instead
	}
}

// settled tells the publisher of m, if it asked. That is user code, so what was
// touched is written first.
func (s *session) settled(m *Message, o Outcome, bt *batch) {
	if m == nil || m.Settled == nil {
		return
	}
	bt.flush()
	_, _ = guard(s.b, "Settled", func() (struct{}, error) { m.Settled(s.id, o); return struct{}{}, nil }) // logged
}

// receipt pushes the RECEIPT that f asked for, if it did.
func (s *session) receipt(f *frames.Frame, bt *batch) {
	if seg := s.receiptFrame(f); seg != nil {
		s.out.push(seg, bt)
	}
}

func (s *session) receiptFrame(f *frames.Frame) []byte {
	id, ok := f.Lookup(frames.HeaderReceipt)
	if !ok {
		return nil
	}
	b := append(make([]byte, room, room+25+len(id)), "RECEIPT\n"...)
	b = frames.AppendHeader(b, s.version, frames.HeaderReceiptID, id)
	b = append(b, '\n', 0)
	framing := s.wire.framing()
	return framed(terminated(b, framing), framing, !utf8.ValidString(id))
}
