package store

import (
	"fmt"
	"math"

	"github.com/hoofbeat/hoofbeat/broker"
)

// Limits limit the queues. They have the meaning and the defaults of the fields
// of [broker.Queues] with the same names: zero means the default, a negative
// value no limit. One tenth of TotalBytes is kept for dead letters.
type Limits struct {
	Messages      int   // messages in one queue, default 10,000
	Bytes         int64 // bytes in one queue, default 64 MiB
	Queues        int   // queues that have messages, and queues that are read, default 1,000
	TotalBytes    int64 // bytes in all queues together, default 1 GiB
	QueuesPerUser int   // queues whose oldest message is from one user, default 250
	BytesPerUser  int64 // bytes from one user in all queues together, default 256 MiB

	Delayed             int   // delayed messages, default 100,000
	DelayedBytes        int64 // bytes of delayed messages, which are also in memory, default 256 MiB
	DelayedPerUser      int   // delayed messages from one user, default 25,000
	DelayedBytesPerUser int64 // bytes of delayed messages from one user, default 64 MiB
}

// deadLetterPart is the part of the total that only replacements may use: one of
// so many.
const deadLetterPart = 10

func (l Limits) complete() Limits {
	return Limits{
		Messages: limit(l.Messages, 10_000, math.MaxInt32), Bytes: limit(l.Bytes, 64<<20, math.MaxInt64),
		Queues: limit(l.Queues, 1_000, math.MaxInt), TotalBytes: limit(l.TotalBytes, 1<<30, math.MaxInt64),
		QueuesPerUser: limit(l.QueuesPerUser, 250, math.MaxInt), BytesPerUser: limit(l.BytesPerUser, 256<<20, math.MaxInt64),
		Delayed: limit(l.Delayed, 100_000, math.MaxInt), DelayedBytes: limit(l.DelayedBytes, 256<<20, math.MaxInt64),
		DelayedPerUser: limit(l.DelayedPerUser, 25_000, math.MaxInt), DelayedBytesPerUser: limit(l.DelayedBytesPerUser, 64<<20, math.MaxInt64),
	}
}

func limit[T int | int64](v, byDefault, none T) T {
	switch {
	case v == 0:
		return byDefault
	case v < 0:
		return none
	}
	return min(v, none)
}

// Configuration keys of the limits.
const (
	keyMessages      = "queues.messages"
	keyBytes         = "queues.bytes"
	keyQueues        = "queues.queues"
	keyTotalBytes    = "queues.total_bytes"
	keyQueuesPerUser = "queues.queues_per_user"
	keyBytesPerUser  = "queues.bytes_per_user"
	keyDisk          = "store.disk"
)

func full(key string, limit int64) error { return &broker.QueueFullError{Key: key, Limit: limit} }

func fullTotal(limit int64, replacement bool) error {
	e := &broker.QueueFullError{Key: keyTotalBytes, Limit: limit}
	if !replacement {
		e.Text = fmt.Sprintf("queue limit reached: at most %d bytes in all queues, one tenth of it for dead letters", limit)
	}
	return e
}

// fullStream is the error if the engine has no room in its files. What limits
// them follows from the limit of all queues, unless Options.MaxBytes is less.
func fullStream(o *Options) error {
	key, limit := keyTotalBytes, o.maxBytes()
	if limit == o.MaxBytes {
		key = keyDisk
	}
	return &broker.QueueFullError{Key: key, Limit: limit, Text: fmt.Sprintf("store-full: the files of the queues take all of their %d bytes", limit)}
}
