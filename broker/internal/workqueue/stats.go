package workqueue

import (
	"iter"
	"time"
)

// Stats is a snapshot of a [Store]'s counts.
type Stats struct {
	Queues    int   // names with a message or a consumer
	Messages  int   // stored messages, including unsettled ones
	Bytes     int64 // sizes of the stored messages
	Unsettled int   // messages that consumers hold
	Consumers int   // consumers not closed, started or not
}

// QueueStats is a snapshot of one queue's counts.
type QueueStats struct {
	Name      string
	Messages  int   // stored messages, including unsettled ones
	Bytes     int64 // sizes of the stored messages
	Unsettled int   // messages that consumers hold
	Consumers int   // consumers not closed, started or not
	// Oldest is when the oldest message was put. It is zero if there is none, or
	// if it is not known; see [Store.SetClock].
	Oldest time.Time
}

// Stats returns the sums over [Store.Queues].
func (s *Store[M, C]) Stats() Stats {
	var t Stats
	for q := range s.Queues() {
		t.Queues++
		t.Messages += q.Messages
		t.Bytes += q.Bytes
		t.Unsettled += q.Unsettled
		t.Consumers += q.Consumers
	}
	return t
}

// Queues iterates over all queues in no particular order. It reads each queue
// separately, so the numbers of two queues may be from different moments, and a
// message on its way to a dead-letter queue may appear in both. It holds no
// lock while the loop's body runs; the body may use the store.
func (s *Store[M, C]) Queues() iter.Seq[QueueStats] {
	return func(yield func(QueueStats) bool) {
		var found []*queue[M, C]
		for i := range s.shards {
			found = s.shards[i].appendTo(found[:0])
			for _, q := range found {
				if st, ok := q.stats(); ok && !yield(st) {
					return
				}
			}
		}
	}
}

func (sh *shard[M, C]) appendTo(qs []*queue[M, C]) []*queue[M, C] {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	for _, q := range sh.queues {
		qs = append(qs, q)
	}
	return qs
}

// stats returns the counts of the queue. It reports false if the queue is gone
// or is just being created.
func (q *queue[M, C]) stats() (QueueStats, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return QueueStats{
		Name:      q.name,
		Messages:  int(q.messages),
		Bytes:     q.bytes,
		Unsettled: q.unsettled,
		Consumers: q.consumers,
		Oldest:    q.store.at(q.oldest()),
	}, q.exists()
}
