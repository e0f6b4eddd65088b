package workqueue

import "iter"

// Stats is what a [Store] holds at a moment.
type Stats struct {
	Queues    int   // names that have a message or a consumer
	Messages  int   // stored messages, the unsettled ones included
	Bytes     int64 // their sizes
	Unsettled int   // messages that consumers hold
	Consumers int   // consumers not closed, started or not
}

// QueueStats is what one queue holds at a moment.
type QueueStats struct {
	Name      string
	Messages  int   // stored messages, the unsettled ones included
	Bytes     int64 // their sizes
	Unsettled int   // messages that consumers hold
	Consumers int   // consumers not closed, started or not
}

// Stats sums up [Store.Queues].
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

// Queues goes over all queues in no particular order. Each is looked at by itself, so the numbers of two of them may
// be of different moments, and a message on its way to a dead-letter queue may be seen in both. No lock is held while
// the loop's body runs, which may use the store.
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

// stats is false for a queue that has gone, or is just being made.
func (q *queue[M, C]) stats() (QueueStats, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return QueueStats{
		Name:      q.name,
		Messages:  int(q.messages),
		Bytes:     q.bytes,
		Unsettled: q.unsettled,
		Consumers: q.consumers,
	}, q.messages > 0 || q.consumers > 0
}
