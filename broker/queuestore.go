package broker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// A QueueStore keeps the messages of work queues outside the memory of the
// broker, so that they survive it. It decides what is stored and in which
// order; the broker decides which consumer gets a message, and tells the store
// what became of it.
//
// All methods are safe for concurrent use, and none but Purge and Browse waits
// for the store's work. What is not certain at once is reported by a function,
// done. The store calls it exactly once, within bounded time, from any
// goroutine, also before the method returns, and with no lock of its own held.
// A nil done means that nobody waits.
//
// A QueueStore may serve several brokers.
type QueueStore interface {
	// Append stores messages, all or none, in their order, each as the newest of
	// its queue. Calls of one goroutine keep their order. The store may keep list
	// and its messages until done is called, and changes neither. The error is a
	// *[QueueFullError] if a limit is reached, or [ErrDuplicate]; nothing is
	// stored then. After any other error the outcome is unknown.
	Append(list []QueuePut, done func(error))
	// Open begins to read a queue for the consumers of this broker, which opens a
	// queue at most once at a time. The queue need not exist. Messages come by
	// calls of feed, in the order of their sequences, as far as
	// [QueueReader.Want] allows, which begins with none. The error says why the
	// queue cannot be read now.
	Open(queue string, feed QueueFeed) (QueueReader, error)
	// Replace stores a message in place of one that a reader of this broker
	// holds, or that Expired has named: a dead letter, or the same message in
	// another queue. It does so exactly once, also if it is called again for the
	// same message after a restart. The error
	// is as that of Append; the message then stays where it was, and held.
	Replace(queue string, sequence uint64, with QueuePut, done func(error))
	// Remove removes a message that no reader holds, such as one that Expired has
	// named. It is no error if there is none.
	Remove(queue string, sequence uint64, done func(error))
	// Expired calls each for every message that no reader holds and that has
	// expired, and returns after the last call. each may call Replace and Remove.
	Expired(now time.Time, each func(queue string, m StoredMessage))
	// Purge removes the messages of a queue that no reader holds, and returns
	// their number. The error is [ErrNoQueue] if the queue has no message, also
	// none that a reader holds, or that of the store.
	Purge(ctx context.Context, queue string) (removed int, err error)
	// Browse returns up to limit messages of a queue with a sequence greater than
	// after, the oldest first, without removing them. Those that readers hold are
	// among them.
	Browse(ctx context.Context, queue string, after uint64, limit int) ([]StoredMessage, error)
	// Queues iterates over the queues that have messages, in no order. The body
	// of the loop may use the store.
	Queues() iter.Seq[StoredQueue]
	// Remembered iterates over the values of Once that the store refuses, because
	// their messages were stored in the last two minutes, and when that was. It
	// may leave out those that came after the store was opened.
	Remembered() iter.Seq2[string, time.Time]
}

// QueuePut is a message to be stored.
type QueuePut struct {
	Queue   string
	Message *Message
	Size    int       // bytes that count against the limits
	Expires time.Time // zero: never; in whole milliseconds
	// Share is whose limits the message counts against: a user or the network of
	// anonymous sessions. It is opaque. "" is the program, which has no limit of
	// its own.
	Share string
	// Once, if not "", identifies the message: the store refuses a second one
	// with the same value for two minutes, also if the first is acknowledged by
	// then and the process was killed. It is opaque, of at most 64 printable ASCII
	// characters.
	Once string
}

// StoredMessage is a message as a [QueueStore] returns it. Once is "".
type StoredMessage struct {
	QueuePut
	// Sequence is the place in the order of the queue: greater for later ones,
	// and never used again.
	Sequence uint64
	// Attempts is the number recorded by [QueueReader.Attempted].
	Attempts int
	// Redelivered is true if a consumer may have seen the message before. It may
	// be true too often, never too seldom.
	Redelivered bool
	// Put is when the message was stored in this queue, zero if it is not known.
	// Only Browse needs it.
	Put time.Time
}

// QueueFeed is where the messages of a [QueueReader] go. The store calls its
// methods one at a time, with no lock of its own held, and never from within a
// call of the QueueStore or of a QueueReader, because the caller of these may
// hold locks. They do not block.
type QueueFeed interface {
	// Messages hands over messages. The reader holds them until it settles them,
	// also if it is closed meanwhile: then they return to the store.
	Messages(list []StoredMessage)
	// Failed says that the reader is closed, because the store cannot read the
	// queue any more. What it held returns to the store. It is the last call.
	Failed(err error)
}

// A QueueReader reads one queue for one broker. The caller of its methods may
// hold locks. After Close or [QueueFeed.Failed] they do nothing, except that
// Ack calls done with [ErrNotHeld].
type QueueReader interface {
	// Want sets how many more messages, and bytes of them, the store may hand
	// over. It replaces what an earlier call allowed and is not yet used. One
	// message larger than bytes may come if bytes is not 0.
	Want(messages int, bytes int64)
	// Ack removes messages from the queue. If done is nil, a message may come
	// again after a crash. The error is [ErrNotHeld] if one of them was not held,
	// or that of the store; they may come again then. Without sequences, done is
	// called when all earlier calls of Ack and Attempted are certain.
	Ack(sequences []uint64, done func(error))
	// Attempted records the number of failed deliveries of a message. It is
	// recorded before a later Return of the message has an effect.
	Attempted(sequence uint64, attempts int)
	// Return gives messages back, in ascending order of their sequences. They may
	// come again, to this broker or another one, in this order.
	Return(sequences []uint64)
	// Close ends the reader and returns what it holds. What was acknowledged
	// before stays acknowledged.
	Close()
}

// StoredQueue describes a queue of a [QueueStore].
type StoredQueue struct {
	Name     string
	Messages int   // including those that readers hold
	Bytes    int64 // their sizes
	// Share is the QueuePut.Share of the message that made the queue; "" is also
	// for one that is not known.
	Share string
	// Oldest is when its oldest message was stored, zero if it is not known.
	Oldest time.Time
}

// QueueFullError is the error of a [QueueStore] that refuses messages because a
// limit is reached. It wraps [ErrQueueFull].
type QueueFullError struct {
	Key   string // the configuration key of the limit, such as "queues.messages"
	Limit int64  // its value
	// Text tells a client what is full, in one line without the key. It is
	// needed only for a key that is not one of [Queues].
	Text string
}

// Error tells the limit and its value: "queue limit reached: at most 10000
// messages per queue".
func (e *QueueFullError) Error() string {
	if e.Text != "" {
		return e.Text
	}
	return fmt.Sprintf("queue limit reached: at most %d %s", e.Limit, limitedBy(e.Key))
}

// Unwrap returns ErrQueueFull.
func (e *QueueFullError) Unwrap() error { return ErrQueueFull }

// ErrNotHeld is the error of [QueueReader.Ack] for a message that the reader
// does not hold, or no longer: somebody else may get it.
var ErrNotHeld = errors.New("broker: the message is not held any more: it may be delivered again")
