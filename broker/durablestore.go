package broker

import (
	"context"
	"time"
)

// A DurableStore keeps durable subscriptions, and the messages that wait for
// them, outside the memory of the broker, so that they survive it. A message is
// stored once, however many subscriptions want it. What waits for a subscription
// is in the memory of the broker too, from where it is delivered.
//
// All methods are safe for concurrent use, and none but Load waits for the
// store's work. What is not certain at once is reported by a function, done. The
// store calls it exactly once, within bounded time, from any goroutine, also
// before the method returns, and with no lock of its own held. The caller of
// Settled may hold locks. Calls of one goroutine keep their order.
type DurableStore interface {
	// Load hands over everything that is stored: first all subscriptions, then the
	// messages in the order of their sequences. It is called once, before all
	// others. It waits until the store can be read, or ctx ends.
	Load(ctx context.Context, into DurableLoader) error
	// Create stores a new subscription, in place of one of the same user and name
	// that may be there. It is for messages that are appended after this call.
	Create(d StoredDurable, done func(error))
	// Save stores the position of a subscription in place of the one before. There
	// is at most one call for a subscription at a time.
	Save(id string, p DurablePosition, done func(error))
	// Delete removes a subscription and its position. It is no error if there is
	// none with this ID.
	Delete(d StoredDurable, done func(error))
	// Append stores messages that a number of subscriptions want, all or none. The
	// store may keep list and its messages until done is called, and changes
	// neither. first is the sequence of the first message; the others follow it.
	// The error is a *[QueueFullError] if a limit is reached; nothing is stored
	// then. After any other error the outcome is unknown: the messages may be
	// loaded after a restart.
	Append(list []DurablePut, done func(first uint64, err error))
	// Settled says that one subscription fewer wants a message. The store removes
	// it when none does.
	Settled(sequence uint64)
}

// DurableLoader is what [DurableStore.Load] calls, one function at a time.
type DurableLoader struct {
	Subscription func(d StoredDurable, p DurablePosition)
	// Message returns the number of subscriptions that want the message. The store
	// may remove it if that is 0.
	Message func(m StoredPut) (wanted int)
}

// StoredDurable is a durable subscription in a [DurableStore].
type StoredDurable struct {
	ID          string // unique, of at most 32 letters and digits
	User, Name  string // together unique
	Destination string
	Selector    string // "" for none
	Created     time.Time
	// Shared says that its messages count against the limits of its user. Those
	// of a user with the role backend do not.
	Shared bool
	// After is the sequence of the latest message that is not for it, because it
	// is older. Load sets it.
	After uint64
}

// DurablePosition is how far a subscription is. All it says is about messages
// that are for the subscription.
type DurablePosition struct {
	// High is the greatest sequence in Settled, or greater.
	High uint64
	// Settled are the sequences that the subscription has done with: they were
	// acknowledged, dropped or have expired. Ascending, and not overlapping.
	Settled []SequenceRange
	// Given is the greatest sequence that was delivered to a client.
	Given uint64
	// Attached says that a session uses the subscription, so that more than Given
	// may have been delivered.
	Attached bool
	Used     time.Time // when a session used it last
	// Attempts are the numbers of failed deliveries of messages that had some.
	Attempts map[uint64]int
	// Dropped is the number of messages dropped since the subscription was
	// created, and Told how many of these its client knows of.
	Dropped, Told int64
}

// SequenceRange are the sequences from First to Last.
type SequenceRange struct{ First, Last uint64 }

// DurablePut is a message for a [DurableStore]. Its Destination is the topic.
type DurablePut struct {
	Message *Message
	Expires time.Time // zero: never; in whole milliseconds
	Wanted  int       // the number of subscriptions that want it
}

// StoredPut is a message as a [DurableStore] returns it. Wanted is 0.
type StoredPut struct {
	DurablePut
	Sequence uint64 // greater for later ones, and never used again
	Stored   time.Time
}
