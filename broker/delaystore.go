package broker

import (
	"errors"
	"iter"
	"time"
)

// A DelayStore is a [QueueStore] that also keeps messages until they are due, so
// that a transaction stores both kinds together, and a message that is due moves
// into its queue once. It decides when a message is due, and to which broker it
// hands it over; the broker decides where the message goes.
//
// The rules for methods and for the function done are those of QueueStore. If
// the QueueStore of a broker is no DelayStore, delayed messages are in memory.
type DelayStore interface {
	QueueStore
	// Delay stores delayed messages, and list as Append does: all or none. The
	// error is as that of Append, a *[QueueFullError] also for a limit of delayed
	// messages, or [ErrDelayedExists].
	Delay(delayed []DelayPut, list []QueuePut, done func(error))
	// OpenDelays hands over messages that are due by calls of feed, the earliest
	// first and none before its time, until the reader is closed. Those that are
	// due at the same moment keep the order in which they were stored. A store
	// that serves several brokers hands each message to one of them. It calls
	// feed as it calls a [QueueFeed].
	OpenDelays(feed func([]StoredDelay)) DelayReader
	// CancelDelay removes a message by its ID. The error is [ErrNotDelayed] if
	// none waits, or if it has been handed over, or that of the store.
	CancelDelay(id string, done func(error))
	// Delays iterates over the messages that are not yet moved or removed, in no
	// order. The body of the loop may use the store.
	Delays() iter.Seq[StoredDelay]
	// DelayStats returns how many there are, and the sum of their sizes.
	DelayStats() (messages int, bytes int64)
}

// DelayPut is a delayed message to be stored. Its Queue is not used: when it is
// due it goes to the destination of its Message, of any kind. Its limits are
// those of delayed messages.
type DelayPut struct {
	QueuePut
	Due  time.Time // in whole milliseconds
	User string    // who sent it; "" for the program and for anonymous clients
}

// StoredDelay is a delayed message as a [DelayStore] returns it. Once is "".
type StoredDelay struct {
	DelayPut
	// Sequence identifies the message for a [DelayReader].
	Sequence uint64
}

// A DelayReader settles the messages that were handed over to one broker. The
// caller of its methods may hold locks. A message that is not settled is handed
// over again: by the next reader, or when the store works again after a failure.
type DelayReader interface {
	// Move stores a message in a queue and removes the delayed one: both or
	// neither, also if the process ends meanwhile. So the message is in its queue
	// once, however often this is repeated. The error is as that of Append, or
	// [ErrNotHeld] if the delayed message is gone: it was moved before. After an
	// error other than ErrNotHeld the caller calls Later.
	Move(sequence uint64, to QueuePut, done func(error))
	// Remove removes a message that was delivered without a queue. If the process
	// ends before that is done, it is handed over again.
	Remove(sequence uint64)
	// Later has a message handed over again at a time, which lasts as long as
	// this reader.
	Later(sequence uint64, at time.Time)
	// Close ends the reader. What it was handed stays in the store.
	Close()
}

// ErrDelayedExists is the error of a [DelayStore] for a delayed message with the
// ID of another one that waits.
var ErrDelayedExists = errors.New("broker: a delayed message with this ID waits already")
