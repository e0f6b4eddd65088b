package broker

import (
	"time"

	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// A message that has expired is not delivered. Whatever is about to deliver one
// looks at the time: the topics when it is sent, the queues when a consumer can
// take it, an in-process subscription when its function is free. Once a message
// is in the outbox of a session, it is on its way. A sweep removes what expires
// in queues without consumers.

// ExpiredMode selects what happens to the messages that expire in a queue.
type ExpiredMode uint8

const (
	// ExpiredDrop drops and counts them.
	ExpiredDrop ExpiredMode = iota
	// ExpiredDeadLetter moves them to the queue of dead letters,
	// /queue/DLQ.<name>, with the header dead-letter-reason:expired. If that
	// queue is full, or is the one in which they expire, they are dropped.
	ExpiredDeadLetter
)

// expirySweep is how often the queues are searched for expired messages.
const expirySweep = 5 * time.Second

// sweepQueues removes expired messages from the queues, and durable
// subscriptions that are no longer used.
func (b *Broker) sweepQueues() {
	bt := b.newBatch()
	b.queues.Expire(bt)
	bt.flushLater()
	b.durables.sweep(time.Now())
}

// tooLate reports whether a publication has expired, and counts it. In a queue
// the store does so.
func (b *Broker) tooLate(expires int64) bool {
	if !expired(expires) {
		return false
	}
	b.stats.expired.Add(1)
	return true
}

// checkTimes reads the times of a SEND to a handler, or of one that is carried
// out later.
func (s *session) checkTimes(d topics.Destination, f *frames.Frame) (times, *Error) {
	t, _, err := readTimes(f.Headers)
	switch {
	case err != nil:
		return t, &Error{Reason: ReasonProtocolError, Message: err.Error()}
	case t.due != 0 && handled(d.Kind):
		return t, failure(ReasonProtocolError, "%s is not available for %s: a handler runs at once", headerDelay, d.Name)
	}
	return t, nil
}
