package workqueue

import (
	"errors"
	"math"
	"strconv"
)

// Limits limits a [Store]. A zero field means its default, a negative one no
// limit.
type Limits struct {
	// Messages is how many messages one queue may hold, including unsettled
	// ones. Default 10,000.
	Messages int
	// Bytes is how many bytes one queue may hold, by the sizes given to Put.
	// Default 64 MiB.
	Bytes int64
	// Queues is how many queues may exist at one time. Default 1,000.
	Queues int
	// TotalBytes is how many bytes all queues together may hold. Default 1 GiB.
	TotalBytes int64
	// OwnerQueues is how many queues of one [Owner] may exist at one time.
	// Default 250.
	OwnerQueues int
	// OwnerBytes is how many bytes the messages of one [Owner] may take in all
	// queues together. Default 256 MiB.
	OwnerBytes int64
	// Attempts is how often a message is delivered before it becomes a dead
	// letter. Default 5.
	Attempts int
}

// bounds is Limits with defaults filled in and "no limit" as the largest
// number.
type bounds struct {
	messages, bytes, queues, total, ownerQueues, ownerBytes, attempts int64
}

func (l Limits) bounds() bounds {
	return bounds{
		messages:    bound(int64(l.Messages), 10_000),
		bytes:       bound(l.Bytes, 64<<20),
		queues:      bound(int64(l.Queues), 1_000),
		total:       bound(l.TotalBytes, 1<<30),
		ownerQueues: bound(int64(l.OwnerQueues), 250),
		ownerBytes:  bound(l.OwnerBytes, 256<<20),
		attempts:    bound(int64(l.Attempts), 5),
	}
}

func bound(v, byDefault int64) int64 {
	switch {
	case v == 0:
		return byDefault
	case v < 0:
		return math.MaxInt64
	}
	return v
}

// Values of [FullError.Limit], worded to follow a number.
const (
	LimitMessages    = "messages per queue"                       // Limits.Messages
	LimitBytes       = "bytes per queue"                          // Limits.Bytes
	LimitQueues      = "queues"                                   // Limits.Queues
	LimitTotalBytes  = "bytes in all queues"                      // Limits.TotalBytes
	LimitOwnerQueues = "queues of one user or address"            // Limits.OwnerQueues
	LimitOwnerBytes  = "bytes in queues from one user or address" // Limits.OwnerBytes
)

// ErrFull is the error that every [FullError] wraps.
var ErrFull = errors.New("queue limit reached")

// FullError reports the limit that refused a message or a consumer. Its text is
// one line that a client may see.
type FullError struct {
	Limit string // one of the Limit constants
	Max   int64  // the value of that limit
}

// Error names the limit and its value: "queue limit reached: at most 10000
// messages per queue".
func (e *FullError) Error() string {
	return ErrFull.Error() + ": at most " + strconv.FormatInt(e.Max, 10) + " " + e.Limit
}

// Unwrap returns ErrFull.
func (e *FullError) Unwrap() error { return ErrFull }
