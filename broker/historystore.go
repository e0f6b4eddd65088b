package broker

import (
	"context"
	"time"
)

// A HistoryStore keeps the messages of [Options.History] outside the memory of
// the broker, so that they survive it. It numbers and keeps them, each entry for
// itself; the broker decides what a client gets. The broker keeps an index of
// what is stored in memory, without the messages.
//
// All methods are safe for concurrent use. A HistoryStore may serve several
// brokers.
type HistoryStore interface {
	// Open opens the messages of an entry, which are found again by its
	// Destination, and makes a place for them if there are none. It tells feed
	// what is kept and returns; then it hands over what is stored from now on, by
	// this broker or by others. The error says why that is not possible.
	Open(ctx context.Context, h History, feed HistoryFeed) (HistoryLog, error)
}

// A HistoryLog is an entry of a [HistoryStore] in use by one broker.
type HistoryLog interface {
	// Append stores messages, all or none, in their order. Calls of one goroutine
	// keep their order. It does not wait for the store's work: done is called
	// exactly once, within bounded time, from any goroutine, also before Append
	// returns, and with no lock of the store held. A nil error means that the
	// messages are stored, and that feed has got them. The error is a
	// *[QueueFullError] if there is no room, or [ErrDuplicate]; nothing is stored
	// then. After any other error the outcome is unknown. The store may keep the
	// messages and changes none.
	Append(list []HistoryPut, done func(error))
	// Fetch returns messages by their numbers: for each of them the message, or
	// nil if it is not kept any more.
	Fetch(ctx context.Context, numbers []uint64) ([]*Message, error)
	// Remove removes the messages of a destination that were stored before it,
	// and begins another epoch; the numbers go on. Nobody gets them afterwards,
	// whenever the process is killed: either nothing has happened, or all brokers
	// know the new epoch and that they are gone. When it returns nil, feed has got
	// Removed. After an error they may be removed or not.
	Remove(ctx context.Context, destination string) error
	// SetLimits replaces Messages, Age and Bytes of the entry. The store tries
	// until it has them in force.
	SetLimits(h History)
	// Close ends the use of the entry. What is stored stays. After it, feed gets
	// nothing any more, and calls of Append get an error.
	Close()
}

// HistoryPut is a message to be stored. The store keeps all of it but Settled.
type HistoryPut struct {
	Destination string // of which Messages of an entry limits the number; the path of Message.Destination
	Message     *Message
	// Once, if not "", identifies the message: the entry refuses a second one with
	// the same value for two minutes, also if a limit has dropped the first by
	// then and the process was killed. It is opaque, of at most 64 printable ASCII
	// characters.
	Once string
}

// HistoryRecord is a message that a [HistoryStore] keeps.
type HistoryRecord struct {
	// Number is the place in the order of the entry: greater for later messages,
	// and used once in an epoch.
	Number      uint64
	Time        time.Time // when it was stored
	Size        int       // bytes that it takes in the store
	Destination string    // [HistoryPut.Destination]
	// Message is nil in a call of [HistoryFeed.Kept]. In a call of Stored, one
	// that this broker has stored is the Message of the [HistoryPut].
	Message *Message
}

// HistoryFeed is told what a [HistoryLog] keeps: once Begin, then Kept for all
// that is there, in the order of the numbers, and Remembered, then Ready; then
// Stored. Removed comes between calls of Kept or of Stored. The store calls one
// method at a time, and never from within a call of the HistoryLog. If the store
// has lost messages or their numbers, it starts again with Begin and another
// epoch.
type HistoryFeed interface {
	Begin(b HistoryBeginning)
	Kept(list []HistoryRecord)
	// Removed says that a destination was removed. It comes before messages with
	// greater numbers. What a store still has of the messages is not handed over
	// later.
	Removed(r HistoryRemoval)
	// Remembered names a value of Once that the store refuses, and when its
	// message was stored.
	Remembered(once string, at time.Time)
	Ready()
	// Stored hands over all messages that were stored since, in the order of their
	// numbers, which may have gaps. It may wait for slow clients.
	Stored(list []HistoryRecord)
}

// HistoryRemoval says that the messages of a destination were removed.
type HistoryRemoval struct {
	Destination string // [HistoryPut.Destination]
	// Number has a place in the order of the messages: those with smaller numbers
	// are removed.
	Number uint64
	Epoch  string // from now on, see [HistoryBeginning.Epoch]
}

// HistoryBeginning says what a [HistoryStore] knows about the messages that it
// keeps, and about those that it keeps no more.
type HistoryBeginning struct {
	// Epoch names the sequence of numbers: 8 letters and digits. It lasts as long
	// as the messages, or until a destination is removed.
	Epoch string
	// First is the number of the oldest message, or the next number if there is
	// none. Limits may have dropped any message before it.
	First uint64
	// Last is the number of the latest message, 0 if there never was one.
	Last uint64
	// Full is the smallest History.Messages that was ever in force: a destination
	// with so many messages may have lost older ones. 0 means that there was no
	// limit.
	Full int
}
