package workqueue

import "sync/atomic"

// Owner is one of several parties that share a [Store], with a share of its
// limits: the queues created for it and the messages put for it count together,
// so that no owner can use up the whole store. The zero value owns nothing. An
// Owner is safe for concurrent use and must not be copied.
type Owner struct {
	queues atomic.Int64 // existing queues created for it
	bytes  atomic.Int64 // sizes of its stored messages
}

// Empty reports whether nothing in the store counts against the owner.
func (o *Owner) Empty() bool { return o.queues.Load() == 0 && o.bytes.Load() == 0 }
