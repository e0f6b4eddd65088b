package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/hoofbeat/hoofbeat/frames"
)

// QueueMoved is the result of [Broker.MoveMessages].
type QueueMoved struct {
	Moved int
	// Skipped is how many messages stay because they have no queue to return to.
	Skipped int
	// Next is the sequence of the last message that was considered, if the Limit
	// of the selection was reached and there are more: the After of the next
	// call. Else it is 0.
	Next uint64
}

// MoveMessages moves messages from one work queue to another, the oldest first.
// With to "", from must be a queue of dead letters: those that came from its
// queue return to it, without the headers that made them dead letters. Others
// stay and count as Skipped: they came from a topic, or somebody sent them there.
//
// A moved message is the newest of its new queue, with its message-id, its
// headers and its expiry, and has had no failed deliveries. Messages that
// consumers hold stay, and so does what comes after the call began.
//
// The limits of the target apply. At the first message that it refuses the call
// ends with ErrQueueFull, which names the limit; the result says how many were
// moved before. Other errors are that of [Broker.Purge], and ErrDestination for
// a target that is no work queue or is from itself.
//
// No message is lost or doubled. In memory it leaves one queue and enters the
// other in one step. An [Options.QueueStore] is told to replace it, which it does
// exactly once. If the store fails, the message may be in both queues until the
// call is repeated. Safe for concurrent use, also with consumers of both queues.
func (b *Broker) MoveMessages(ctx context.Context, from, to string, s QueueSelection) (QueueMoved, error) {
	mv, err := b.newMove(from, to, &s)
	if err != nil {
		return QueueMoved{}, err
	}
	if err := ctx.Err(); err != nil {
		return QueueMoved{}, err
	}
	bt := b.newBatch()
	n, err := b.queues.Move(ctx, bt, mv)
	bt.flushLater()
	out := QueueMoved{Moved: n, Skipped: mv.skipped}
	if mv.more && err == nil {
		out.Next = mv.last
	}
	return out, moveRefused(mv.to, err)
}

// queueMove is a move of messages. One call of queues.Move uses it.
type queueMove struct {
	from, to string
	home     bool // only dead letters that return
	*picker

	skipped int
	last    uint64 // sequence of the latest message that was considered
	more    bool   // the limit was reached, and a message came after it
}

func (b *Broker) newMove(from, to string, s *QueueSelection) (*queueMove, error) {
	mv := &queueMove{picker: s.picker()}
	var err error
	if mv.from, err = b.oneQueue(from); err != nil {
		return nil, err
	}
	if to == "" {
		if to, mv.home = b.o.names.DeadLettersOf(mv.from); !mv.home {
			return nil, fmt.Errorf("%w: %q is no queue of dead letters, so a target must be named", ErrDestination, from)
		}
	}
	if mv.to, err = b.oneQueue(to); err != nil {
		return nil, err
	}
	if err := b.queueName(mv.to); err != nil {
		return nil, err
	}
	if mv.to == mv.from {
		return nil, fmt.Errorf("%w: %q is the queue itself", ErrDestination, to)
	}
	return mv, nil
}

// choose reports whether a message is moved. It is called for each message, in
// their order, while it is where it is.
func (mv *queueMove) choose(m *Message, sequence uint64) bool {
	if mv.more || !mv.wants(m.ID, sequence) {
		return false
	}
	if mv.full() {
		mv.more = true
		return false
	}
	mv.last = sequence
	if mv.home && m.Header(headerOriginal) != mv.to {
		mv.skipped++
		return false
	}
	return mv.pick(m.ID, sequence)
}

// moved returns the message for the target, and its size. A dead letter that
// returns to its queue is as it was before.
func (mv *queueMove) moved(m *Message) (*Message, int) {
	c := *m
	c.Destination = mv.to
	if m.Header(headerOriginal) == mv.to {
		c.Headers = nil
		for _, h := range m.Headers {
			switch h.Name {
			case headerOriginal, headerAttempts, headerReason, headerOriginalExpires:
			default:
				c.Headers = append(c.Headers, frames.Header(h))
			}
		}
	}
	return &c, messageSize(&c)
}

// moveRefused returns the error for the caller of a move that ended early.
func moveRefused(target string, err error) error {
	if err == nil {
		return nil
	}
	if refused := refusedLater(err); errors.Is(refused, ErrQueueFull) {
		return fmt.Errorf("%w: %s takes no more: %s", ErrQueueFull, target, refusedByQueue(err).Message)
	}
	return err
}
