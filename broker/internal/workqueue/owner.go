package workqueue

import "sync/atomic"

// Owner is one of those who share a [Store]: the queues that were made for it and the messages put for it count
// together, wherever they are, so that one cannot take everything that all may have. The zero value has nothing. It is
// safe for concurrent use and must not be copied.
type Owner struct {
	queues atomic.Int64 // made for it and still there
	bytes  atomic.Int64 // sizes of its stored messages
}

// Empty reports whether nothing in the store counts for the owner.
func (o *Owner) Empty() bool { return o.queues.Load() == 0 && o.bytes.Load() == 0 }
